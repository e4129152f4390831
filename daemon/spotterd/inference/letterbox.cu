// Letterbox in one pass: frame -> scaled, padded, planar network input, float or half.
//
// The arithmetic is that of OpenCV's bilinear resize of bytes (11-bit weights, two shifts), so that
// calibration, gate and CPU path see the same pixels. Where from and with which weights comes in two
// tables, one entry an output column or row: {first, second, weight of first, weight of second};
// first < 0 is padding. One thread makes one pixel of the output, in all three planes.
#include <cuda_fp16.h>

struct Tap {
  int first, second, weight, weight2;
};

struct Look {          // see vision.letterbox.Preprocess
  float scale, pad;    // what a byte is multiplied by; the padding, multiplied already
  int swap;            // 1: red first in the output
};

__device__ inline void put(float *out, float value) { *out = value; }
__device__ inline void put(__half *out, float value) { *out = __float2half(value); }

// Interleaved blue, green, red.
struct Bgr {
  const unsigned char *pixels;
  int pitch;

  __device__ void at(int x, int y, int *bgr) const {
    const unsigned char *p = pixels + (size_t)y * pitch + 3 * x;
    for (int c = 0; c < 3; ++c) bgr[c] = p[c];
  }
};

// A plane of Y, then rows of U, V pairs for 2x2 pixels; BT.601 limited range, as OpenCV converts it.
struct Nv12 {
  const unsigned char *pixels;
  int pitch, height;

  __device__ static int clamp(int value) { return value < 0 ? 0 : value > 255 ? 255 : value; }

  __device__ void at(int x, int y, int *bgr) const {
    const unsigned char *uv = pixels + (size_t)(height + y / 2) * pitch + (x & ~1);
    const int luma = pixels[(size_t)y * pitch + x] - 16;
    const int grey = (luma < 0 ? 0 : luma) * 1220542 + (1 << 19);
    const int u = uv[0] - 128, v = uv[1] - 128;
    bgr[0] = clamp((grey + 2116026 * u) >> 20);
    bgr[1] = clamp((grey - 852492 * v - 409993 * u) >> 20);
    bgr[2] = clamp((grey + 1673527 * v) >> 20);
  }
};

template <class Frame, class Out>
__device__ void letterbox(Frame frame, const Tap *columns, const Tap *rows, Out *out, int width,
                          int height, Look look) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= width || y >= height) return;
  const Tap column = columns[x], row = rows[y];
  const size_t plane = (size_t)width * height;
  Out *to = out + (size_t)y * width + x;
  if (column.first < 0 || row.first < 0) {
    for (int c = 0; c < 3; ++c) put(to + c * plane, look.pad);
    return;
  }
  int nw[3], ne[3], sw[3], se[3];
  frame.at(column.first, row.first, nw);
  frame.at(column.second, row.first, ne);
  frame.at(column.first, row.second, sw);
  frame.at(column.second, row.second, se);
  for (int c = 0; c < 3; ++c) {
    const int north = nw[c] * column.weight + ne[c] * column.weight2;
    const int south = sw[c] * column.weight + se[c] * column.weight2;
    const int value = ((row.weight * (north >> 4) >> 16) + (row.weight2 * (south >> 4) >> 16) + 2) >> 2;
    put(to + (look.swap ? 2 - c : c) * plane, (float)value * look.scale);
  }
}

#define ENTRY(name, Frame, Out, ...)                                                              \
  extern "C" __global__ void name(const unsigned char *pixels, int pitch, int frame_height,       \
                                  const Tap *columns, const Tap *rows, Out *out, int width,       \
                                  int height, float scale, float pad, int swap) {                 \
    letterbox(Frame{__VA_ARGS__}, columns, rows, out, width, height, Look{scale, pad, swap});     \
  }

ENTRY(letterbox_bgr_float32, Bgr, float, pixels, pitch)
ENTRY(letterbox_bgr_float16, Bgr, __half, pixels, pitch)
ENTRY(letterbox_nv12_float32, Nv12, float, pixels, pitch, frame_height)
ENTRY(letterbox_nv12_float16, Nv12, __half, pixels, pitch, frame_height)
