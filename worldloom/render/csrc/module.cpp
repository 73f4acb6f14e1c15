// The order of the stages, the depth sort, the tile lists, and the Python binding.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "frame.h"
#include "isa.h"
#include "parallel.h"
#include "recycler.h"
#include "scalar_baseline.h"

namespace wl {
#define WL_DECLARE(isa, real)          \
  namespace isa {                      \
  extern const Kernels<real> kernels;  \
  }
WL_DECLARE(scalar, float)
WL_DECLARE(scalar64, double)
#ifdef WL_HAVE_avx2
WL_DECLARE(avx2, float)
#endif
#ifdef WL_HAVE_avx512
WL_DECLARE(avx512, float)
#endif
#undef WL_DECLARE
}  // namespace wl

namespace nb = nanobind;

namespace {

using namespace wl;

template <class T>
const Kernels<T>& active_kernels();

template <>
const Kernels<double>& active_kernels<double>() {
  return scalar64::kernels;
}

template <>
const Kernels<float>& active_kernels<float>() {
  const Isa isa = active_isa();
#ifdef WL_HAVE_avx512
  if (isa == Isa::avx512) return avx512::kernels;
#endif
#ifdef WL_HAVE_avx2
  if (isa >= Isa::avx2) return avx2::kernels;
#endif
  return scalar::kernels;
}

template <class T, size_t D>
using In = nb::ndarray<const T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<nb::pytorch, T>;

// A recycled array that Python owns.
template <class T>
Out<T> to_torch(Buffer<T>&& buffer, std::initializer_list<size_t> shape) {
  auto* owned = new Buffer<T>(std::move(buffer));
  T* data = owned->get();
  nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<Buffer<T>*>(p); });
  return Out<T>(data, shape.size(), shape.begin(), owner);
}

// Stable least-significant-digit radix sort of (depth, index) by the bits of positive floats.
void sort_by_depth(uint64_t*& pairs, uint64_t*& other, size_t count, uint32_t low, uint32_t high) {
  const int bits = high > low ? 32 - __builtin_clz(high - low) : 0;
  const int passes = (bits + 10) / 11;
  const int width = passes ? (bits + passes - 1) / passes : 0;
  std::vector<uint32_t> place(size_t{1} << width);
  for (int pass = 0; pass < passes; ++pass) {
    const int shift = pass * width;
    const uint32_t mask = (1u << width) - 1;
    std::fill(place.begin(), place.end(), 0);
    auto digit = [&](uint64_t pair) { return ((static_cast<uint32_t>(pair >> 32) - low) >> shift) & mask; };
    for (size_t i = 0; i < count; ++i) ++place[digit(pairs[i])];
    uint32_t sum = 0;
    for (uint32_t& p : place) sum += std::exchange(p, sum);
    for (size_t i = 0; i < count; ++i) other[place[digit(pairs[i])]++] = pairs[i];
    std::swap(pairs, other);
  }
}

// One drawn camera, and what its backward pass needs of it.
template <class T>
class Frame {
 public:
  Frame(int64_t n, const View<T>& view, bool keep, int threads)
      : n_(n), chunks_((n + CHUNK - 1) / CHUNK), view_(view), kernels_(active_kernels<T>()), threads_(threads),
        splats_(n), boxes_(n), ids_(chunks_ * CHUNK + SPARE), depths_(chunks_ * CHUNK), id_count_(chunks_),
        pair_count_(chunks_), pair_start_(chunks_ + 1), tile_start_(tiles() + 1) {
    arrays_ = {splats_.get(), boxes_.get(), ids_.get(), depths_.get(), id_count_.get(), pair_count_.get(),
               pair_start_.get(), tile_start_.get(), nullptr, nullptr, nullptr};
    if (keep) {
      transmittance_ = Buffer<T>(static_cast<size_t>(tiles()) * TILE * TILE);
      last_ = Buffer<T>(static_cast<size_t>(tiles()) * TILE * TILE);
      arrays_.transmittance = transmittance_.get(), arrays_.last = last_.get();
    }
  }

  void draw(const Scene<T>& scene, const Images<T>& images) {
    Pool& pool = Pool::get();
    pool.run(threads_, chunks_, [&](int64_t chunk, int) { kernels_.project(scene, view_, arrays_, chunk); });
    bin();
    pool.run(threads_, tiles(), [&](int64_t tile, int) {
      kernels_.blend(scene, view_, arrays_, images, static_cast<int>(tile), -1);
      for (int channel = 0; channel < scene.e; channel += 4)
        kernels_.blend(scene, view_, arrays_, images, static_cast<int>(tile), channel);
    });
  }

  void differentiate(const Scene<T>& scene, const ImageGradients<T>& given, SceneGradients<T> out, double* camera,
                     int threads) {
    if (!arrays_.transmittance) throw std::logic_error("this frame was drawn without keeping what a backward pass needs");
    Pool& pool = Pool::get();
    Buffer<T> rows(static_cast<size_t>(pairs_) * ROW), geometry;
    Buffer<uint8_t> touched(pairs_);
    Buffer<double> partial(static_cast<size_t>(chunks_) * 15);
    out.rows = rows.get(), out.touched = touched.get(), out.camera = partial.get(), out.geometry = nullptr;
    auto pass = [&](int channel) {
      std::memset(touched.get(), 0, pairs_);
      pool.run(threads, tiles(), [&](int64_t tile, int) {
        kernels_.unblend(scene, view_, arrays_, given, out, static_cast<int>(tile), channel);
      });
    };
    if (scene.e && given.extra) {
      geometry = Buffer<T>(static_cast<size_t>(n_) * 6);
      out.geometry = geometry.get();
      std::memset(out.extra, 0, static_cast<size_t>(n_) * scene.e * sizeof(T));
      for (int channel = 0; channel < scene.e; channel += 4) {
        pass(channel);
        pool.run(threads, chunks_, [&](int64_t c, int) { kernels_.gather_extra(scene, arrays_, out, c, channel); });
      }
    }
    pass(-1);
    pool.run(threads, chunks_, [&](int64_t chunk, int) {
      clear_culled(scene, out, chunk);
      kernels_.unproject(scene, view_, arrays_, out, chunk);
    });
    for (int c = 0; c < 15; ++c) {
      camera[c] = 0;
      for (int64_t chunk = 0; chunk < chunks_; ++chunk) camera[c] += partial[chunk * 15 + c];
    }
  }

  // means2d, radii, visible and tile counts of every Gaussian.
  std::tuple<Out<T>, Out<int32_t>, Out<bool>, Out<int32_t>> info() const {
    Buffer<T> means2d(n_ * 2);
    Buffer<int32_t> radii(n_ * 2), counts(n_);
    Buffer<bool> visible(n_);
    std::memset(means2d.get(), 0, n_ * 2 * sizeof(T)), std::memset(radii.get(), 0, n_ * 2 * sizeof(int32_t));
    std::memset(visible.get(), 0, n_), std::memset(counts.get(), 0, n_ * sizeof(int32_t));
    for (int64_t chunk = 0; chunk < chunks_; ++chunk)
      for (int i = 0; i < id_count_[chunk]; ++i) {
        const int64_t id = ids_[chunk * CHUNK + i];
        const Box box = boxes_[id];
        means2d[id * 2] = splats_[id].x, means2d[id * 2 + 1] = splats_[id].y;
        radii[id * 2] = splats_[id].radius_x, radii[id * 2 + 1] = splats_[id].radius_y;
        visible[id] = true;
        counts[id] = (box.x1 - box.x0) * (box.y1 - box.y0);
      }
    const size_t n = static_cast<size_t>(n_);
    return {to_torch(std::move(means2d), {n, 2}), to_torch(std::move(radii), {n, 2}), to_torch(std::move(visible), {n}),
            to_torch(std::move(counts), {n})};
  }

  const View<T>& view() const { return view_; }
  int64_t n() const { return n_; }

 private:
  int tiles() const { return view_.columns * view_.rows; }

  void bin() {
    Pool& pool = Pool::get();
    size_t visible = 0;
    uint64_t pairs = 0;
    for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
      visible += id_count_[chunk];
      pair_start_[chunk] = static_cast<uint32_t>(pairs);
      pairs += pair_count_[chunk];
    }
    if (pairs >= uint64_t{1} << 32) throw std::length_error("more than 2^32 (tile, splat) pairs; draw a smaller image");
    pairs_ = static_cast<int64_t>(pairs);
    list_ = Buffer<int32_t>(pairs_ + AHEAD);
    arrays_.list = list_.get();
    std::memset(list_.get() + pairs_, 0, AHEAD * sizeof(int32_t));

    Buffer<uint64_t> sorted(visible), spare(visible);
    uint64_t *order = sorted.get(), *other = spare.get();
    uint32_t low = 0xffffffffu, high = 0;
    size_t at = 0;
    for (int64_t chunk = 0; chunk < chunks_; ++chunk)
      for (int i = 0; i < id_count_[chunk]; ++i) {
        uint32_t key;
        std::memcpy(&key, &depths_[chunk * CHUNK + i], 4);
        low = std::min(low, key), high = std::max(high, key);
        order[at++] = static_cast<uint64_t>(key) << 32 | static_cast<uint32_t>(ids_[chunk * CHUNK + i]);
      }
    if (sizeof(T) == sizeof(float)) {
      sort_by_depth(order, other, visible, low, high);
    } else {
      std::stable_sort(order, order + visible, [&](uint64_t a, uint64_t b) {
        return splats_[static_cast<uint32_t>(a)].value[3] < splats_[static_cast<uint32_t>(b)].value[3];
      });
    }

    // Counting sort into tiles: each part of the depth order knows where its share of each list begins.
    const int parts = std::max(1, std::min<int>(threads_, static_cast<int>(visible / 4096)));
    const size_t stride = view_.columns + 1, table = stride * (view_.rows + 1), num_tiles = static_cast<size_t>(tiles());
    Buffer<uint32_t> places(parts * table);
    Buffer<Box> boxes(visible);
    auto part_begin = [&](int64_t part) { return visible * part / parts; };
    pool.run(threads_, parts, [&](int64_t part, int) {
      // Counts as a sum over corners (four steps for each box, whatever its size), then summed up in both directions.
      uint32_t* count = places.get() + part * table;
      std::memset(count, 0, table * sizeof(uint32_t));
      for (size_t i = part_begin(part), end = part_begin(part + 1); i < end; ++i) {
        if (i + AHEAD < end) __builtin_prefetch(&boxes_[static_cast<uint32_t>(order[i + AHEAD])]);
        const Box box = boxes[i] = boxes_[static_cast<uint32_t>(order[i])];
        ++count[box.y0 * stride + box.x0], --count[box.y0 * stride + box.x1];
        --count[box.y1 * stride + box.x0], ++count[box.y1 * stride + box.x1];
      }
      for (int y = 0; y < view_.rows; ++y)
        for (int x = 0; x < view_.columns; ++x) {
          const uint32_t left = x ? count[y * stride + x - 1] : 0, up = y ? count[(y - 1) * stride + x] : 0;
          count[y * stride + x] += left + up - (x && y ? count[(y - 1) * stride + x - 1] : 0);
        }
    });
    uint32_t sum = 0;
    for (size_t tile = 0; tile < num_tiles; ++tile) {
      tile_start_[tile] = sum;
      const size_t cell = tile / view_.columns * stride + tile % view_.columns;
      for (int part = 0; part < parts; ++part) sum += std::exchange(places[part * table + cell], sum);
    }
    tile_start_[num_tiles] = sum;
    pool.run(threads_, parts, [&](int64_t part, int) {
      uint32_t* place = places.get() + part * table;
      for (size_t i = part_begin(part), end = part_begin(part + 1); i < end; ++i) {
        const Box box = boxes[i];
        const int32_t id = static_cast<int32_t>(order[i]);
        for (int y = box.y0; y < box.y1; ++y)
          for (int x = box.x0; x < box.x1; ++x) list_[place[y * stride + x]++] = id;
      }
    });
  }

  // Zero gradients of the Gaussians that were not drawn; the others are written whole.
  void clear_culled(const Scene<T>& scene, const SceneGradients<T>& out, int64_t chunk) const {
    const int64_t begin = chunk * CHUNK, end = std::min(begin + CHUNK, n_);
    auto clear = [&](T* rows, int width, int64_t from, int64_t to) {
      std::memset(rows + from * width, 0, static_cast<size_t>(to - from) * width * sizeof(T));
    };
    clear(out.means, 3, begin, end), clear(out.quats, 4, begin, end), clear(out.scales, 3, begin, end);
    clear(out.opacities, 1, begin, end), clear(out.means2d, 2, begin, end);
    int64_t from = begin;
    for (int i = 0; i < id_count_[chunk]; ++i) {
      const int64_t id = ids_[chunk * CHUNK + i];
      clear(out.sh, scene.k * 3, from, id);
      from = id + 1;
    }
    clear(out.sh, scene.k * 3, from, end);
  }

  int64_t n_, chunks_, pairs_ = 0;
  View<T> view_;
  const Kernels<T>& kernels_;
  int threads_;
  Buffer<Splat<T>> splats_;
  Buffer<Box> boxes_;
  Buffer<int32_t> ids_;
  Buffer<float> depths_;
  Buffer<int32_t> id_count_;
  Buffer<uint32_t> pair_count_, pair_start_, tile_start_;
  Buffer<int32_t> list_;
  Buffer<T> transmittance_, last_;
  Arrays<T> arrays_;
};

template <class T>
using Optional = std::optional<In<T, 2>>;
template <class T>
using OptionalImage = std::optional<In<T, 3>>;

template <class T>
Scene<T> scene_of(const In<T, 2>& means, const In<T, 2>& quats, const In<T, 2>& scales, const In<T, 1>& opacities,
                  const In<T, 3>& sh, const Optional<T>& extra) {
  const size_t n = means.shape(0);
  const size_t k = sh.shape(1);
  if (means.shape(1) != 3 || quats.shape(0) != n || quats.shape(1) != 4 || scales.shape(0) != n || scales.shape(1) != 3 ||
      opacities.shape(0) != n || sh.shape(0) != n || (k != 1 && k != 4 && k != 9 && k != 16) || sh.shape(2) != 3 ||
      (extra && extra->shape(0) != n))
    throw std::invalid_argument("arrays of Gaussians do not fit together");
  if (n > (size_t{1} << 31) - CHUNK) throw std::length_error("more than 2^31 Gaussians");
  return {static_cast<int64_t>(n), static_cast<int>(k), extra ? static_cast<int>(extra->shape(1)) : 0, means.data(),
          quats.data(), scales.data(), opacities.data(), sh.data(), extra ? extra->data() : nullptr};
}

template <class T>
auto forward(const In<T, 2>& means, const In<T, 2>& quats, const In<T, 2>& scales, const In<T, 1>& opacities,
             const In<T, 3>& sh, const Optional<T>& extra, const In<T, 2>& cam_from_world, const In<T, 1>& eye,
             std::tuple<double, double, double, double> intrinsics, std::tuple<int, int> size, bool antialiased,
             double near, double far, bool keep, int threads) {
  const Scene<T> scene = scene_of<T>(means, quats, scales, opacities, sh, extra);
  if (cam_from_world.shape(0) != 4 || cam_from_world.shape(1) != 4 || eye.shape(0) != 3)
    throw std::invalid_argument("camera arrays must be 4x4 and 3");
  View<T> view;
  for (int r = 0; r < 3; ++r) {
    for (int c = 0; c < 3; ++c) view.rotation[r * 3 + c] = cam_from_world(r, c);
    view.translation[r] = cam_from_world(r, 3);
    view.eye[r] = eye(r);
  }
  auto [fx, fy, cx, cy] = intrinsics;
  view.fx = static_cast<T>(fx), view.fy = static_cast<T>(fy), view.cx = static_cast<T>(cx), view.cy = static_cast<T>(cy);
  view.near = static_cast<T>(near), view.far = static_cast<T>(far);
  std::tie(view.height, view.width) = size;
  view.columns = (view.width + TILE - 1) / TILE, view.rows = (view.height + TILE - 1) / TILE;
  if (view.width < 1 || view.height < 1 || view.columns > 65535 || view.rows > 65535)
    throw std::invalid_argument("image size must be between 1 and 1048560 pixels a side");
  // The pairs of one chunk are counted in 32 bits.
  if (static_cast<uint64_t>(view.columns) * view.rows >= (uint64_t{1} << 32) / CHUNK)
    throw std::invalid_argument("an image must have fewer than 2^30 pixels");
  view.antialiased = antialiased;

  const size_t h = static_cast<size_t>(view.height), w = static_cast<size_t>(view.width), e = static_cast<size_t>(scene.e);
  Buffer<T> rgb(3 * h * w), alpha(h * w), depth(h * w), median(h * w), channels(e * h * w);
  Buffer<bool> valid(h * w);
  auto frame = std::make_unique<Frame<T>>(scene.n, view, keep, threads);
  {
    nb::gil_scoped_release release;
    frame->draw(scene, {rgb.get(), alpha.get(), depth.get(), median.get(), valid.get(), channels.get()});
  }
  return std::make_tuple(std::move(frame), to_torch(std::move(rgb), {3, h, w}), to_torch(std::move(alpha), {h, w}),
                         to_torch(std::move(depth), {h, w}), to_torch(std::move(median), {h, w}),
                         to_torch(std::move(valid), {h, w}), to_torch(std::move(channels), {e, h, w}));
}

// Gradients of means, quats, scales, opacities, sh, extra, means2d, cam_from_world and eye.
template <class T>
auto backward(Frame<T>& frame, const In<T, 2>& means, const In<T, 2>& quats, const In<T, 2>& scales,
              const In<T, 1>& opacities, const In<T, 3>& sh, const Optional<T>& extra, const In<T, 2>& depth_image,
              const OptionalImage<T>& on_rgb, const Optional<T>& on_alpha, const Optional<T>& on_depth,
              const OptionalImage<T>& on_extra, int threads) {
  const Scene<T> scene = scene_of<T>(means, quats, scales, opacities, sh, extra);
  const size_t h = static_cast<size_t>(frame.view().height), w = static_cast<size_t>(frame.view().width);
  auto fits = [&](const auto& image, size_t channels, size_t axis) {
    return !image || ((axis == 0 || image->shape(0) == channels) && image->shape(axis) == h && image->shape(axis + 1) == w);
  };
  if (scene.n != frame.n() || depth_image.shape(0) != h || depth_image.shape(1) != w || !fits(on_rgb, 3, 1) ||
      !fits(on_alpha, 0, 0) || !fits(on_depth, 0, 0) || !fits(on_extra, static_cast<size_t>(scene.e), 1))
    throw std::invalid_argument("gradients do not fit the frame that was drawn");
  const size_t n = static_cast<size_t>(scene.n), k = static_cast<size_t>(scene.k), e = static_cast<size_t>(scene.e);
  Buffer<T> v_means(n * 3), v_quats(n * 4), v_scales(n * 3), v_opacities(n), v_sh(n * k * 3), v_extra(n * e), v_means2d(n * 2);
  Buffer<T> v_camera(16), v_eye(3);
  {
    nb::gil_scoped_release release;
    double camera[15];
    if (!on_extra) std::memset(v_extra.get(), 0, n * e * sizeof(T));
    frame.differentiate(scene,
                        {on_rgb ? on_rgb->data() : nullptr, on_alpha ? on_alpha->data() : nullptr,
                         on_depth ? on_depth->data() : nullptr, on_extra ? on_extra->data() : nullptr, depth_image.data()},
                        {v_means.get(), v_quats.get(), v_scales.get(), v_opacities.get(), v_sh.get(), v_extra.get(),
                         v_means2d.get(), nullptr, nullptr, nullptr, nullptr},
                        camera, threads);
    for (int r = 0; r < 3; ++r) {
      for (int c = 0; c < 3; ++c) v_camera[r * 4 + c] = static_cast<T>(camera[r * 3 + c]);
      v_camera[r * 4 + 3] = static_cast<T>(camera[9 + r]);
      v_eye[r] = static_cast<T>(camera[12 + r]);
    }
    for (int c = 0; c < 4; ++c) v_camera[12 + c] = 0;
  }
  return std::make_tuple(to_torch(std::move(v_means), {n, 3}), to_torch(std::move(v_quats), {n, 4}),
                         to_torch(std::move(v_scales), {n, 3}), to_torch(std::move(v_opacities), {n}),
                         to_torch(std::move(v_sh), {n, k, 3}), to_torch(std::move(v_extra), {n, e}),
                         to_torch(std::move(v_means2d), {n, 2}), to_torch(std::move(v_camera), {4, 4}),
                         to_torch(std::move(v_eye), {3}));
}

template <class T>
void bind(nb::module_& m, const char* frame, const char* forward_name) {
  nb::class_<Frame<T>>(m, frame)
      .def("info", &Frame<T>::info)
      .def("backward", &backward<T>, nb::arg("means"), nb::arg("quats"), nb::arg("scales"), nb::arg("opacities"),
           nb::arg("sh"), nb::arg("extra").none(), nb::arg("depth_image"), nb::arg("on_rgb").none(),
           nb::arg("on_alpha").none(), nb::arg("on_depth").none(), nb::arg("on_extra").none(), nb::arg("threads"));
  m.def(forward_name, &forward<T>, nb::arg("means"), nb::arg("quats"), nb::arg("scales"), nb::arg("opacities"),
        nb::arg("sh"), nb::arg("extra").none(), nb::arg("cam_from_world"), nb::arg("eye"), nb::arg("intrinsics"),
        nb::arg("size"), nb::arg("antialiased"), nb::arg("near"), nb::arg("far"), nb::arg("keep"), nb::arg("threads"));
}

Out<float> rasterize_scalar_baseline(const In<float, 2>& means, const In<float, 2>& quats, const In<float, 2>& scales,
                                     const In<float, 1>& opacities, const In<float, 3>& sh,
                                     const In<float, 2>& cam_from_world, std::tuple<double, double, double, double> intrinsics,
                                     std::tuple<int, int> size) {
  const Scene<float> scene = scene_of<float>(means, quats, scales, opacities, sh, std::nullopt);
  const size_t h = static_cast<size_t>(std::get<0>(size)), w = static_cast<size_t>(std::get<1>(size));
  auto [fx, fy, cx, cy] = intrinsics;
  const float k[4] = {static_cast<float>(fx), static_cast<float>(fy), static_cast<float>(cx), static_cast<float>(cy)};
  Buffer<float> images(4 * h * w);
  {
    nb::gil_scoped_release release;
    scalar_baseline(scene, cam_from_world.data(), k, static_cast<int>(h), static_cast<int>(w), images.get());
  }
  return to_torch(std::move(images), {4, h, w});
}

}  // namespace

NB_MODULE(_native, m) {
  // A script's last rendering outlives the interpreter's clean-up; that is no leak a user should read about.
  nb::set_leak_warnings(false);
  m.doc() = "Gaussian rasterizer for CPUs; worldloom.render.render() is the public call.";
  m.def("isa", [] { return std::string(isa_name(active_isa())); }, "The instruction set that a call would use now.");
  bind<float>(m, "Frame32", "forward_float32");
  bind<double>(m, "Frame64", "forward_float64");
  m.def("rasterize_scalar_baseline", &rasterize_scalar_baseline, nb::arg("means"), nb::arg("quats"), nb::arg("scales"),
        nb::arg("opacities"), nb::arg("sh"), nb::arg("cam_from_world"), nb::arg("intrinsics"), nb::arg("size"),
        "rgb and alpha from plain scalar code on one thread: the yardstick of the benchmark, not for use.");
}
