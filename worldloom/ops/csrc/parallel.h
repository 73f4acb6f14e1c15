// A small pool of threads that sleep on a condition variable between regions.
// OpenMP's spinning barriers made two threads slower than one on a busy machine; sleeping ones do not.
#pragma once
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace wl {

class Pool {
 public:
  // One pool for each extension module. A child of fork() has no threads, so it gets a new pool.
  static Pool& get() {
    static std::once_flag once;
    std::call_once(once, [] {
      instance() = new Pool;
      // The parent's pool is leaked in the child on purpose: its threads and locks do not exist there.
      pthread_atfork(nullptr, nullptr, [] { instance() = new Pool; });
    });
    return *instance();
  }

  // Call task(i, worker) for i in [0, num_tasks), tasks taken from an atomic counter; worker < num_threads.
  // Blocks until all are done. An exception of any task is rethrown here. Nested calls run serially.
  template <class Task>
  void run(int num_threads, int64_t num_tasks, Task&& task) {
    if (num_tasks <= 0) return;
    if (num_threads > num_tasks) num_threads = static_cast<int>(num_tasks);
    if (num_threads <= 1 || inside()) {
      for (int64_t i = 0; i < num_tasks; ++i) task(i, 0);
      return;
    }
    std::lock_guard<std::mutex> one_region_at_a_time(region_);
    grow(num_threads - 1);
    std::atomic<int64_t> next{0};
    std::exception_ptr error;
    std::mutex error_lock;
    std::function<void(int)> body = [&](int worker) {
      inside() = true;
      try {
        for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < num_tasks;) task(i, worker);
      } catch (...) {
        next.store(num_tasks, std::memory_order_relaxed);
        std::lock_guard<std::mutex> hold(error_lock);
        if (!error) error = std::current_exception();
      }
      inside() = false;
    };
    {
      std::lock_guard<std::mutex> hold(lock_);
      body_ = &body;
      wanted_ = num_threads - 1;
      ++generation_;
    }
    wake_.notify_all();
    body(0);
    {
      // No task is left. Helpers that have not woken yet find no body and need not be waited for.
      std::unique_lock<std::mutex> hold(lock_);
      body_ = nullptr;
      done_.wait(hold, [&] { return active_ == 0; });
    }
    if (error) std::rethrow_exception(error);
  }

 private:
  static Pool*& instance() {
    static Pool* pool = nullptr;
    return pool;
  }
  static bool& inside() {
    thread_local bool flag = false;
    return flag;
  }

  void grow(int helpers) {
    while (static_cast<int>(threads_.size()) < helpers) {
      const int worker = static_cast<int>(threads_.size()) + 1;
      std::lock_guard<std::mutex> hold(lock_);
      threads_.emplace_back([this, worker, seen = generation_]() mutable {
        for (;;) {
          std::function<void(int)>* body;
          {
            std::unique_lock<std::mutex> hold(lock_);
            wake_.wait(hold, [&] { return generation_ != seen; });
            seen = generation_;
            if (worker > wanted_ || !body_) continue;
            body = body_;
            ++active_;
          }
          (*body)(worker);
          std::lock_guard<std::mutex> hold(lock_);
          if (--active_ == 0) done_.notify_one();
        }
      });
      threads_.back().detach();
    }
  }

  std::mutex region_, lock_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> threads_;
  std::function<void(int)>* body_ = nullptr;
  int wanted_ = 0, active_ = 0;
  uint64_t generation_ = 0;
};

}  // namespace wl
