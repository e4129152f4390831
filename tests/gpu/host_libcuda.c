/* A libcuda.so.1 whose device is the host's own memory and whose streams are synchronous.
 *
 * It lets the real pycuda run without a GPU: what it checks is that our calls fit pycuda's and the
 * driver's, not what a GPU does. What is taken is counted, and misuse is refused: freeing is misuse
 * without a context. SPOTTERD_FAULT_AT=N makes the Nth event wait fail, and then every call, as a
 * GPU does until the process ends.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int R;
typedef uint64_t P;
enum { OK = 0, INVALID = 1, NOMEM = 2, NO_CONTEXT = 201, ILLEGAL = 700, CAPTURING = 900 };

static int sticky, waits, retained, current, blocks, registered, streams, events, graphs;
static size_t used;
static const size_t total = (size_t)1 << 30;

#define NEED if (sticky) return sticky; if (!current) return NO_CONTEXT

R cuGetErrorString(R e, const char **p) {
  *p = e == ILLEGAL ? "an illegal memory access was encountered" : e == NOMEM ? "out of memory"
     : e == NO_CONTEXT ? "invalid device context" : "invalid argument";
  return OK;
}
R cuGetErrorName(R e, const char **p) { (void)e; *p = "CUDA_ERROR"; return OK; }
R cuInit(unsigned f) { return f ? INVALID : OK; }
R cuDriverGetVersion(int *v) { *v = 13000; return OK; }
R cuDeviceGet(int *d, int n) { *d = n; return n ? 101 : OK; }
R cuDeviceGetCount(int *n) { *n = 1; return OK; }
R cuDeviceGetName(char *s, int n, int d) { (void)d; snprintf(s, n, "Host memory"); return OK; }
R cuDeviceComputeCapability(int *a, int *b, int d) { (void)d; *a = 8; *b = 7; return OK; }
R cuDeviceTotalMem_v2(size_t *n, int d) { (void)d; *n = total; return OK; }
R cuDeviceGetAttribute(int *v, int a, int d) { (void)d; *v = a == 18 ? 0 : 1; return OK; }

R cuDevicePrimaryCtxRetain(P *c, int d) {
  (void)d;
  if (sticky) return sticky;
  retained++;
  *c = 0x100;
  return OK;
}
R cuDevicePrimaryCtxRelease_v2(int d) { (void)d; return retained-- > 0 ? OK : INVALID; }
R cuCtxPushCurrent_v2(P c) { (void)c; current++; return OK; }
R cuCtxPopCurrent_v2(P *c) { *c = 0x100; return current-- > 0 ? OK : NO_CONTEXT; }
R cuCtxGetDevice(int *d) { *d = 0; return OK; }
R cuCtxSynchronize(void) { NEED; return OK; }

/* Work runs at once, or is taken down while a stream captures and run when the graph is launched. */
struct op { int launch; char name[40]; unsigned grid[4]; char bytes[80]; void *to; const void *from;
            size_t n; struct op *next; };
struct stream { int capturing; struct op *first, **last; };
static R run(const struct op *op);

static R put(struct stream *s, struct op op) {
  NEED;
  if (!s) return INVALID;
  if (!s->capturing) return run(&op);
  *s->last = memcpy(malloc(sizeof op), &op, sizeof op);
  s->last = &(*s->last)->next;
  return OK;
}
R cuStreamCreate(struct stream **s, unsigned f) {
  NEED;
  if (f > 1) return INVALID;
  *s = calloc(1, sizeof **s);
  streams++;
  return OK;
}
R cuStreamDestroy_v2(struct stream *s) { NEED; free(s); streams--; return OK; }
R cuStreamSynchronize(struct stream *s) { NEED; return s->capturing ? CAPTURING : OK; }
R cuStreamQuery(struct stream *s) { (void)s; NEED; return OK; }
R cuStreamWaitEvent(struct stream *s, P e, unsigned f) { NEED; return s && e && !f ? OK : INVALID; }

R cuStreamBeginCapture_v2(struct stream *s, int mode) {
  NEED;
  if (mode != 1 || s->capturing) return INVALID;
  s->capturing = 1;
  s->first = NULL;
  s->last = &s->first;
  return OK;
}
R cuStreamEndCapture(struct stream *s, struct op **g) {
  s->capturing = 0;
  graphs++;
  *g = s->first;
  return OK;
}
R cuGraphInstantiateWithFlags(struct op **x, struct op *g, unsigned long long f) {
  graphs++;
  *x = g;
  return f ? INVALID : OK;
}
R cuGraphDestroy(struct op *g) { (void)g; graphs--; return OK; }
R cuGraphExecDestroy(struct op *x) {
  NEED;
  graphs--;
  while (x) {
    struct op *next = x->next;
    free(x);
    x = next;
  }
  return OK;
}
R cuGraphLaunch(const struct op *x, struct stream *s) {
  NEED;
  for (; x && s; x = x->next) {
    R code = run(x);
    if (code) return code;
  }
  return OK;
}

R cuEventCreate(P *e, unsigned f) { NEED; *e = 0x400 + f; events++; return OK; }
R cuEventDestroy_v2(P e) { (void)e; NEED; events--; return OK; }
R cuEventRecord(P e, struct stream *s) { NEED; return e && s ? OK : INVALID; }
R cuEventElapsedTime_v2(float *ms, P a, P b) {
  NEED;
  *ms = 0.1f;
  return (a | b) & 2 ? INVALID : OK; /* CU_EVENT_DISABLE_TIMING */
}
R cuEventElapsedTime(float *ms, P a, P b) { return cuEventElapsedTime_v2(ms, a, b); }
R cuEventQuery(P e) { (void)e; NEED; return OK; }
R cuEventSynchronize(P e) {
  const char *at = getenv("SPOTTERD_FAULT_AT");
  (void)e;
  if (at && ++waits == atoi(at)) sticky = ILLEGAL;
  NEED;
  return OK;
}

R cuMemAlloc_v2(P *p, size_t n) {
  NEED;
  if (used + n > total) return NOMEM;
  size_t *block = malloc(n + 64);
  block[0] = n;
  used += n;
  blocks++;
  *p = (P)(block + 8);
  return OK;
}
R cuMemFree_v2(P p) {
  NEED;
  size_t *block = (size_t *)p - 8;
  used -= block[0];
  blocks--;
  free(block);
  return OK;
}
R cuMemGetInfo_v2(size_t *f, size_t *t) { NEED; *f = total - used; *t = total; return OK; }
R cuMemHostRegister_v2(void *p, size_t n, unsigned f) {
  NEED;
  if (!n || (uintptr_t)p % 4096 || f > 3) return INVALID;
  registered++;
  return OK;
}
R cuMemHostUnregister(void *p) { (void)p; NEED; registered--; return OK; }
R cuMemHostGetDevicePointer_v2(P *d, void *p, unsigned f) { *d = (P)p; return f ? INVALID : OK; }
R cuMemcpyHtoDAsync_v2(P d, const void *from, size_t n, struct stream *s) {
  return put(s, (struct op){.to = (void *)d, .from = from, .n = n});
}
R cuMemcpyDtoHAsync_v2(void *to, P from, size_t n, struct stream *s) {
  return put(s, (struct op){.to = to, .from = (void *)from, .n = n});
}
R cuMemcpyDtoDAsync_v2(P d, P from, size_t n, struct stream *s) {
  return put(s, (struct op){.to = (void *)d, .from = (void *)from, .n = n});
}
R cuMemcpyHtoD_v2(P d, const void *s, size_t n) { NEED; memcpy((void *)d, s, n); return OK; }
R cuMemcpyDtoH_v2(void *d, P s, size_t n) { NEED; memcpy(d, (void *)s, n); return OK; }

/* Two kernels are known: the letterbox, of SPOTTERD_HOST_KERNELS (host_kernels.cpp, built), launched
 * by pycuda with packed arguments; and the layer of standins/trt_gpu.py, launched with pointers. */
typedef R (*launcher)(const char *, unsigned, unsigned, unsigned, unsigned, const void *);
struct layer { P in, out; int inputs, outputs, rounds; float one, nought; };

R cuModuleLoadDataEx(P *m, const void *image, unsigned n, void *o, void **v) {
  (void)n, (void)o, (void)v;
  NEED;
  *m = 0x500;
  return image ? OK : INVALID;
}
R cuModuleLoadData(P *m, const void *image) { return cuModuleLoadDataEx(m, image, 0, NULL, NULL); }
R cuModuleUnload(P m) { return m == 0x500 ? OK : INVALID; }
R cuModuleGetFunction(char **f, P m, const char *name) {
  *f = strdup(name);
  return m == 0x500 ? OK : INVALID;
}
R cuFuncSetBlockShape(char *f, int x, int y, int z) { return f && x && y && z ? OK : INVALID; }

static R run(const struct op *op) {
  if (!op->launch) {
    memcpy(op->to, op->from, op->n);
    return OK;
  }
  if (!strcmp(op->name, "layer")) {
    struct layer a;
    memcpy(&a, op->bytes, sizeof a);
    if (a.out < 4096) {
      sticky = ILLEGAL;
      return OK; /* as on a device: the launch is fine, what follows fails */
    }
    for (int i = 0; i < a.outputs; i++) ((float *)a.out)[i] = ((float *)a.in)[i % a.inputs];
    return OK;
  }
  void *library = dlopen(getenv("SPOTTERD_HOST_KERNELS"), RTLD_NOW);
  launcher launch = library ? (launcher)dlsym(library, "host_launch") : NULL;
  const unsigned *g = op->grid;
  return launch ? launch(op->name, g[0], g[1], g[2], g[3], op->bytes) : INVALID;
}

R cuLaunchKernel(const char *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                 unsigned bz, unsigned shared, struct stream *s, void **params, void **extra) {
  struct op op = {.launch = 1, .grid = {gx, gy, bx, by}};
  if (gz != 1 || bz != 1 || shared || !params == !extra) return INVALID;
  snprintf(op.name, sizeof op.name, "%s", f);
  if (params) {
    static const size_t sizes[] = {8, 8, 4, 4, 4, 4, 4};
    for (size_t i = 0, at = 0; i < 7; at += sizes[i++]) memcpy(op.bytes + at, params[i], sizes[i]);
  } else { /* 1 (buffer pointer), buffer, 2 (its size), size, 0 (end) */
    memcpy(op.bytes, extra[1], *(size_t *)extra[3]);
  }
  return put(s, op);
}

/* What is left over; read by the test. */
void host_libcuda_counts(int *out) {
  int all[] = {retained, current, blocks, registered, streams, events, graphs};
  memcpy(out, all, sizeof all);
}
