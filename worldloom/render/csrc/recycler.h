// Large buffers that are used again: fresh pages from the system cost more than the kernels that fill them.
#pragma once
#include <pthread.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <utility>

namespace wl {

class Recycler {
 public:
  static Recycler& get() {
    static std::once_flag once;
    std::call_once(once, [] {
      instance() = new Recycler;
      // A thread that the child does not have may hold the parent's lock.
      pthread_atfork(nullptr, nullptr, [] { instance() = new Recycler; });
    });
    return *instance();
  }

  std::pair<void*, size_t> take(size_t bytes) {
    bytes = (bytes + GRAIN - 1) / GRAIN * GRAIN;
    {
      std::lock_guard<std::mutex> hold(lock_);
      auto found = idle_.lower_bound(bytes);
      if (found != idle_.end() && found->first <= 2 * bytes) {
        const std::pair<void*, size_t> buffer(found->second, found->first);
        idle_bytes_ -= found->first;
        idle_.erase(found);
        return buffer;
      }
    }
    const size_t page = bytes >= HUGE ? HUGE : 64;
    if (page == HUGE) bytes = (bytes + HUGE - 1) / HUGE * HUGE;
    void* data = nullptr;
    if (posix_memalign(&data, page, bytes)) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (page == HUGE) madvise(data, bytes, MADV_HUGEPAGE);
#endif
    return {data, bytes};
  }

  void give(void* data, size_t bytes) {
    {
      std::lock_guard<std::mutex> hold(lock_);
      if (idle_bytes_ + bytes <= KEEP) {
        idle_.emplace(bytes, data);
        idle_bytes_ += bytes;
        return;
      }
    }
    std::free(data);
  }

 private:
  static constexpr size_t GRAIN = 4096, HUGE = size_t{1} << 21, KEEP = size_t{256} << 20;
  static Recycler*& instance() {
    static Recycler* recycler = nullptr;
    return recycler;
  }
  std::mutex lock_;
  std::multimap<size_t, void*> idle_;
  size_t idle_bytes_ = 0;
};

// An uninitialised array from the recycler.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t count) {
    std::tie(data_, bytes_) = Recycler::get().take((count ? count : 1) * sizeof(T));
  }
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Buffer() {
    if (data_) Recycler::get().give(data_, bytes_);
  }
  T* get() const { return static_cast<T*>(data_); }
  T& operator[](size_t i) const { return get()[i]; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace wl
