// Memory of intermediates. glibc gives large blocks back to the system as soon as they are freed, and the system
// clears every page of the next one: a third of the time of encoding went into that.
#pragma once
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace t5gemma2 {

/// Lets this process keep freed memory for its next allocations, up to a gigabyte.
inline void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest that glibc takes
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

}  // namespace t5gemma2
