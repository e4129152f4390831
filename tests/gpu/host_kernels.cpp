// letterbox.cu on the host: what cuLaunchKernel of host_libcuda.c, or ctypes, calls by name.
// KERNELS is the path of the source; cuda_fp16.h is found as an empty file beside the build.
#include "cuda_on_host.h"
#include KERNELS
#include <cstring>

struct Arguments {  // as pycuda packs "PiiPPPiiffi"
  const unsigned char *pixels;
  int pitch, frame_height;
  const Tap *columns, *rows;
  void *out;
  int width, height;
  float scale, pad;
  int swap;
};

#define RUN(kernel, Out)                                                                       \
  if (!std::strcmp(name, #kernel)) {                                                           \
    kernel(a->pixels, a->pitch, a->frame_height, a->columns, a->rows, (Out *)a->out, a->width, \
           a->height, a->scale, a->pad, a->swap);                                              \
    return 0;                                                                                  \
  }

static int thread(const char *name, const Arguments *a) {
  RUN(letterbox_bgr_float32, float)
  RUN(letterbox_bgr_float16, __half)
  RUN(letterbox_nv12_float32, float)
  RUN(letterbox_nv12_float16, __half)
  return 1;
}

extern "C" int host_launch(const char *name, unsigned gx, unsigned gy, unsigned bx, unsigned by,
                           const void *arguments) {
  blockDim = {bx, by, 1};
  for (blockIdx.y = 0; blockIdx.y < gy; ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < gx; ++blockIdx.x)
      for (threadIdx.y = 0; threadIdx.y < by; ++threadIdx.y)
        for (threadIdx.x = 0; threadIdx.x < bx; ++threadIdx.x)
          if (thread(name, (const Arguments *)arguments)) return 1;
  return 0;
}
