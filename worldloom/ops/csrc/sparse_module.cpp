// The Python face of the sparse kernels. Tensors cross by DLPack as plain pointers; no libtorch.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <new>
#include <numeric>
#include <optional>
#include <tuple>

#include "isa.h"
#include "parallel.h"
#include "sparse_cells.h"
#include "voxel_rays.h"

namespace nb = nanobind;
using namespace wl;

namespace {

template <class T, int D>
using In = nb::ndarray<const T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
template <class T, int D>
using Out = nb::ndarray<T, nb::ndim<D>, nb::c_contig, nb::device::cpu>;
using Axes = std::vector<int64_t>;

const SparseKernels& kernels() {
  switch (active_isa()) {
#ifdef WL_HAVE_avx512
    case Isa::avx512: return avx512::sparse_kernels;
#endif
#ifdef WL_HAVE_avx2
    case Isa::avx2: return avx2::sparse_kernels;
#endif
    default: return scalar::sparse_kernels;
  }
}

void require(bool ok, const char* what) {
  if (!ok) throw std::invalid_argument(what);
}

// Floats on a cache line boundary: a vector load that straddles two lines costs twice.
class Floats {
 public:
  enum class Fill { none, zero };
  explicit Floats(int64_t size, Fill fill = Fill::none)
      : data_(static_cast<float*>(::operator new(std::max<int64_t>(size, 1) * sizeof(float), kLine))) {
    if (fill == Fill::zero) std::fill(data_, data_ + size, 0.0f);
  }
  ~Floats() { ::operator delete(data_, kLine); }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;
  float* data() { return data_; }

 private:
  static constexpr std::align_val_t kLine{64};
  float* data_;
};

int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// ---- Grids and windows ---------------------------------------------------------------------------------------

struct Grid {
  int64_t shape[kAxes];
  int64_t batch_size, cells_per_sample;
  int axes;

  Grid(const Axes& from, int64_t batch) : batch_size(batch), axes(static_cast<int>(from.size())) {
    require(axes >= 1 && axes <= kAxes, "expected 1 to 4 spatial axes");
    for (int axis = 0; axis < kAxes; ++axis) shape[axis] = 1;
    std::copy(from.begin(), from.end(), shape + kAxes - axes);
    int64_t cells = 1;
    bool fits = batch >= 0;
    for (int64_t size : shape) fits = fits && size > 0 && !__builtin_mul_overflow(cells, size, &cells);
    int64_t all;
    fits = fits && !__builtin_mul_overflow(cells, batch, &all) && all <= (int64_t{1} << 62);
    require(fits, "the grid has more cells than a 62-bit key can number");
    cells_per_sample = cells;
  }

  int64_t num_cells() const { return cells_per_sample * batch_size; }

  // -1 if the site lies outside.
  int64_t cell(const int32_t* site) const {
    if (site[0] < 0 || site[0] >= batch_size) return -1;
    int64_t cell = site[0];
    for (int axis = kAxes - axes, column = 1; axis < kAxes; ++axis, ++column) {
      if (site[column] < 0 || site[column] >= shape[axis]) return -1;
      cell = cell * shape[axis] + site[column];
    }
    return cell;
  }
};

Window window_of(const Axes& kernel, const Axes& stride, const Axes& padding, const Axes& dilation) {
  const size_t axes = kernel.size();
  require(axes >= 1 && axes <= kAxes && stride.size() == axes && padding.size() == axes && dilation.size() == axes,
          "expected kernel, stride, padding and dilation of the same 1 to 4 axes");
  Window window;
  for (int axis = 0; axis < kAxes; ++axis) {
    const int from = axis - (kAxes - static_cast<int>(axes));
    window.kernel[axis] = from < 0 ? 1 : kernel[from];
    window.stride[axis] = from < 0 ? 1 : stride[from];
    window.padding[axis] = from < 0 ? 0 : padding[from];
    window.dilation[axis] = from < 0 ? 1 : dilation[from];
    require(window.kernel[axis] >= 1 && window.kernel[axis] <= kMaxKernel && window.stride[axis] >= 1 &&
                window.dilation[axis] >= 1,
            "expected a kernel size of 1 to 127 and positive stride and dilation");
  }
  return window;
}

template <class T>
nb::ndarray<nb::numpy, T> array_of(std::vector<T>&& values, std::initializer_list<size_t> shape) {
  auto* kept = new std::vector<T>(std::move(values));
  nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nb::ndarray<nb::numpy, T>(kept->data(), shape, owner);
}

// The first row outside the grid and the first row that repeats an earlier one; -1: none.
std::tuple<int64_t, int64_t> check_sites(In<int32_t, 2> sites, const Axes& shape, int64_t batch_size) {
  const Grid grid(shape, batch_size);
  require(static_cast<int>(sites.shape(1)) == 1 + grid.axes, "coords and spatial shape differ in axes");
  const int64_t num = sites.shape(0);
  const int32_t* data = sites.data();
  nb::gil_scoped_release free_python;
  CellSet seen(grid.num_cells(), num);
  for (int64_t row = 0; row < num; ++row) {
    const int64_t cell = grid.cell(data + row * (1 + grid.axes));
    if (cell < 0) return {row, -1};
    if (!seen.insert(cell)) return {-1, row};
  }
  return {-1, -1};
}

void neighbours(In<int32_t, 2> sites, const Axes& shape, int64_t batch_size, In<int32_t, 2> queries,
                const Axes& kernel, const Axes& stride, const Axes& padding, const Axes& dilation,
                Out<int32_t, 2> table, int threads) {
  const Grid grid(shape, batch_size);
  const Window window = window_of(kernel, stride, padding, dilation);
  const int64_t num = sites.shape(0), num_queries = queries.shape(0);
  const size_t columns = 1 + grid.axes;
  require(sites.shape(1) == columns && queries.shape(1) == columns && kernel.size() == shape.size(),
          "coords, queries and window differ in axes");
  require(num < INT32_MAX && num_queries < INT32_MAX, "expected fewer than 2^31 rows");
  require(static_cast<int64_t>(table.shape(0)) == num_queries &&
              static_cast<int64_t>(table.shape(1)) == window.volume(),
          "table must be [queries, kernel volume]");
  const int32_t* data = sites.data();
  const int32_t* query_data = queries.data();
  int32_t* to = table.data();
  const SparseKernels& isa = kernels();
  nb::gil_scoped_release free_python;

  CellSet set(grid.num_cells(), num);
  std::vector<int64_t> cells(num);
  for (int64_t row = 0; row < num; ++row) {
    cells[row] = grid.cell(data + row * columns);
    require(cells[row] >= 0 && set.insert(cells[row]), "coords must be unique and inside the grid");
  }
  for (int64_t row = 0; row < num_queries; ++row)
    require(query_data[row * columns] >= 0 && query_data[row * columns] < batch_size, "query batch out of range");
  NeighbourTask task{set.index(cells), {}, window, query_data, grid.axes, to};
  std::copy(grid.shape, grid.shape + kAxes, task.shape);
  constexpr int64_t rows = 1024;
  Pool::get().run(threads, (num_queries + rows - 1) / rows, [&](int64_t i, int) {
    isa.neighbours(task, i * rows, std::min(num_queries, (i + 1) * rows));
  });
}

// Sites that a strided layer (transposed = false) or a transposed layer reaches from `sites`, sorted.
nb::ndarray<nb::numpy, int32_t> reached_sites(In<int32_t, 2> sites, const Axes& out_shape, int64_t batch_size,
                                              const Axes& kernel, const Axes& stride, const Axes& padding,
                                              const Axes& dilation, bool transposed) {
  const Grid grid(out_shape, batch_size);
  const Window window = window_of(kernel, stride, padding, dilation);
  const int64_t num = sites.shape(0), columns = 1 + grid.axes;
  require(static_cast<int64_t>(sites.shape(1)) == columns && kernel.size() == out_shape.size(),
          "coords, window and output shape differ in axes");
  const int32_t* data = sites.data();
  std::vector<int32_t> reached;
  {
    nb::gil_scoped_release free_python;
    CellSet set(grid.num_cells(), num);
    int64_t at[kAxes][kMaxKernel];
    int count[kAxes];
    for (int64_t row = 0; row < num; ++row) {
      const int32_t* site = data + row * columns;
      require(site[0] >= 0 && site[0] < batch_size, "batch index out of range");
      for (int axis = 0; axis < kAxes; ++axis) {
        const int column = axis - (kAxes - grid.axes);
        const int64_t c = column < 0 ? 0 : site[1 + column];
        count[axis] = 0;
        for (int64_t k = 0; k < window.kernel[axis]; ++k) {
          int64_t reach;
          if (transposed) {
            reach = c * window.stride[axis] - window.padding[axis] + k * window.dilation[axis];
          } else {
            reach = c + window.padding[axis] - k * window.dilation[axis];
            if (reach % window.stride[axis] != 0) continue;
            reach /= window.stride[axis];
          }
          if (reach >= 0 && reach < grid.shape[axis]) at[axis][count[axis]++] = reach;
        }
      }
      for (int i = 0; i < count[0]; ++i)
        for (int j = 0; j < count[1]; ++j)
          for (int k = 0; k < count[2]; ++k)
            for (int l = 0; l < count[3]; ++l)
              set.insert((((site[0] * grid.shape[0] + at[0][i]) * grid.shape[1] + at[1][j]) * grid.shape[2] +
                          at[2][k]) * grid.shape[3] + at[3][l]);
    }
    require(set.count() < INT32_MAX, "expected fewer than 2^31 output sites");
    reached.resize(set.count() * columns);
    int32_t* to = reached.data();
    set.for_each([&](int64_t cell) {
      for (int axis = kAxes - 1, column = grid.axes; column >= 1; --axis, --column) {
        to[column] = static_cast<int32_t>(cell % grid.shape[axis]);
        cell /= grid.shape[axis];
      }
      to[0] = static_cast<int32_t>(cell);
      to += columns;
    });
  }
  const size_t rows = reached.size() / columns;
  return array_of(std::move(reached), {rows, static_cast<size_t>(columns)});
}

// reverse[j][k] = i where table[i][k] = j. At one offset no two outputs share an input, so no two writes meet.
void reverse_table(In<int32_t, 2> table, Out<int32_t, 2> reverse, int threads) {
  const int64_t rows = table.shape(0), volume = table.shape(1), num_in = reverse.shape(0);
  require(static_cast<int64_t>(reverse.shape(1)) == volume, "table and reverse differ in kernel volume");
  const int32_t* from = table.data();
  int32_t* to = reverse.data();
  nb::gil_scoped_release free_python;
  std::fill(to, to + num_in * volume, -1);
  constexpr int64_t chunk = 4096;
  Pool::get().run(threads, (rows + chunk - 1) / chunk, [&](int64_t i, int) {
    for (int64_t row = i * chunk; row < std::min(rows, (i + 1) * chunk); ++row)
      for (int64_t k = 0; k < volume; ++k) {
        const int64_t j = from[row * volume + k];
        if (j < 0) continue;
        require(j < num_in, "table names a row beyond the input");
        to[j * volume + k] = static_cast<int32_t>(row);
      }
  });
}

// The table's pairs in the order the kernels walk them: (start, source, target), see struct Pairs.
std::tuple<nb::ndarray<nb::numpy, int64_t>, nb::ndarray<nb::numpy, int32_t>, nb::ndarray<nb::numpy, int16_t>> pairs_of(
    In<int32_t, 2> table, int64_t num_in, int threads) {
  const int64_t rows = table.shape(0), volume = table.shape(1);
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  const int32_t* from = table.data();
  std::vector<int64_t> start(blocks * volume + 1, 0);
  std::vector<int32_t> source;
  std::vector<int16_t> target;
  {
    nb::gil_scoped_release free_python;
    Pool::get().run(threads, blocks, [&](int64_t block, int) {
      int64_t* count = start.data() + block * volume + 1;
      int32_t largest = -1;
      for (int64_t row = block * kBlockRows; row < std::min(rows, (block + 1) * kBlockRows); ++row)
        for (int64_t k = 0; k < volume; ++k) {
          const int32_t j = from[row * volume + k];
          count[k] += j >= 0;
          largest = std::max(largest, j);
        }
      require(largest < num_in, "table names a row beyond the input");
    });
    std::partial_sum(start.begin(), start.end(), start.begin());
    source.resize(start.back());
    target.resize(start.back());
    Pool::get().run(threads, blocks, [&](int64_t block, int) {
      std::vector<int64_t> next(start.begin() + block * volume, start.begin() + (block + 1) * volume);
      for (int64_t row = block * kBlockRows; row < std::min(rows, (block + 1) * kBlockRows); ++row)
        for (int64_t k = 0; k < volume; ++k) {
          const int32_t j = from[row * volume + k];
          if (j < 0) continue;
          source[next[k]] = j;
          target[next[k]++] = static_cast<int16_t>(row - block * kBlockRows);
        }
    });
  }
  const size_t num_starts = start.size(), num_pairs = source.size();
  return {array_of(std::move(start), {num_starts}), array_of(std::move(source), {num_pairs}),
          array_of(std::move(target), {num_pairs})};
}

Pairs pairs_view(const In<int64_t, 1>& start, const In<int32_t, 1>& source, const In<int16_t, 1>& target,
                 int64_t num_targets, int64_t volume) {
  const int64_t blocks = (num_targets + kBlockRows - 1) / kBlockRows;
  require(static_cast<int64_t>(start.shape(0)) == blocks * volume + 1, "pairs belong to another number of rows");
  require(source.shape(0) == target.shape(0) && static_cast<int64_t>(source.shape(0)) == start.data()[blocks * volume],
          "pairs are incomplete");
  return {num_targets, blocks, volume, start.data(), source.data(), target.data()};
}

// ---- Convolution ---------------------------------------------------------------------------------------------

// y[i] = bias + sum over pairs (j, i, k) of x[j] @ w[k]. With `transpose`, w[k] is used transposed (input gradient);
// with `flip`, offset k uses w[volume - 1 - k] (the reverse of a submanifold map is its mirror image).
void convolve(In<float, 2> x, In<float, 3> weight, std::optional<In<float, 1>> bias, In<int64_t, 1> start,
              In<int32_t, 1> source, In<int16_t, 1> target, Out<float, 2> y, bool transpose, bool flip, int threads) {
  const SparseKernels& isa = kernels();
  const int64_t volume = weight.shape(0), lanes = isa.lanes, panel = 2 * lanes;
  const int64_t depth = weight.shape(transpose ? 2 : 1), width = weight.shape(transpose ? 1 : 2);
  require(static_cast<int64_t>(x.shape(1)) == depth && static_cast<int64_t>(y.shape(1)) == width,
          "features and weight differ in channels");
  require(!bias || static_cast<int64_t>(bias->shape(0)) == width, "bias and weight differ in channels");
  const Pairs pairs = pairs_view(start, source, target, y.shape(0), volume);
  const float* w = weight.data();
  const float* b = bias ? bias->data() : nullptr;
  nb::gil_scoped_release free_python;

  const int64_t padded = round_up(width, lanes);
  Floats packed(volume * depth * padded), padded_bias(padded, Floats::Fill::zero);
  if (b) std::copy(b, b + width, padded_bias.data());
  Pool::get().run(volume * depth * width > 1 << 16 ? threads : 1, volume, [&](int64_t k, int) {
    const float* from = w + (flip ? volume - 1 - k : k) * depth * width;
    for (int64_t column = 0; column < padded; column += panel) {
      const int64_t wide = std::min(panel, padded - column);
      float* to = packed.data() + column * volume * depth + k * depth * wide;
      for (int64_t c = 0; c < depth; ++c)
        for (int64_t j = 0; j < wide; ++j)
          to[c * wide + j] = column + j >= width ? 0.0f
                             : transpose         ? from[(column + j) * depth + c]
                                                 : from[c * width + column + j];
    }
  });
  const ConvTask task{pairs, x.data(), depth, packed.data(), b ? padded_bias.data() : nullptr, y.data(), width};
  threads = std::max(threads, 1);
  Floats scratch(threads * kBlockRows * panel);
  Pool::get().run(threads, pairs.num_blocks, [&](int64_t block, int worker) {
    isa.convolve_block(task, block, scratch.data() + worker * kBlockRows * panel);
  });
}

// dw[k] = sum over pairs (j, i, k) of x[j]^T g[i]: each block's sum in registers, blocks added up within a fixed
// number of segments, segments added up in order.
void weight_gradient(In<float, 2> x, In<float, 2> g, In<int64_t, 1> start, In<int32_t, 1> source,
                     In<int16_t, 1> target, Out<float, 3> dw, int threads) {
  const SparseKernels& isa = kernels();
  const int64_t volume = dw.shape(0), depth = dw.shape(1), width = dw.shape(2);
  require(static_cast<int64_t>(x.shape(1)) == depth && static_cast<int64_t>(g.shape(1)) == width,
          "features, gradient and weight differ in channels");
  const Pairs pairs = pairs_view(start, source, target, g.shape(0), volume);
  const GradientTask task{pairs, x.data(), depth, g.data(), width};
  float* to = dw.data();
  nb::gil_scoped_release free_python;

  // Segments are bounded by memory (32 MiB of partial sums), never by the thread count.
  const int64_t size = volume * depth * width, stride = round_up(width, isa.lanes);
  const int64_t affordable = (int64_t{8} << 20) / std::max<int64_t>(size, 1);
  const int64_t segments = std::max<int64_t>(1, std::min({affordable, int64_t{16}, pairs.num_blocks}));
  const int64_t groups = segments >= 8 ? 1 : std::min<int64_t>(volume, 8);
  Floats totals(segments * volume * depth * stride, Floats::Fill::zero);
  threads = std::max(threads, 1);
  Floats scratch(stride == width ? 0 : threads * kBlockRows * stride);
  Pool::get().run(threads, segments * groups, [&](int64_t i, int worker) {
    const int64_t segment = i / groups, group = i % groups;
    float* total = totals.data() + segment * volume * depth * stride;
    for (int64_t block = segment * pairs.num_blocks / segments; block < (segment + 1) * pairs.num_blocks / segments;
         ++block)
      isa.weight_gradient_block(task, block, group * volume / groups, (group + 1) * volume / groups, total,
                                scratch.data() + (stride == width ? 0 : worker * kBlockRows * stride));
  });
  Pool::get().run(size > 1 << 16 ? threads : 1, volume, [&](int64_t k, int) {
    for (int64_t c = k * depth; c < (k + 1) * depth; ++c) {
      std::memcpy(to + c * width, totals.data() + c * stride, width * sizeof(float));
      for (int64_t segment = 1; segment < segments; ++segment) {
        const float* from = totals.data() + (segment * volume * depth + c) * stride;
        for (int64_t j = 0; j < width; ++j) to[c * width + j] += from[j];
      }
    }
  });
}

// Bias gradient: column sums by chunks of kBlockRows rows, added up in order.
void column_sum(In<float, 2> g, Out<float, 1> sum, int threads) {
  const int64_t rows = g.shape(0), width = g.shape(1);
  require(static_cast<int64_t>(sum.shape(0)) == width, "gradient and bias differ in channels");
  const float* from = g.data();
  float* to = sum.data();
  nb::gil_scoped_release free_python;
  const int64_t chunks = (rows + kBlockRows - 1) / kBlockRows;
  std::vector<float> partial(chunks * width, 0.0f);
  Pool::get().run(threads, chunks, [&](int64_t chunk, int) {
    float* part = partial.data() + chunk * width;
    for (int64_t row = chunk * kBlockRows; row < std::min(rows, (chunk + 1) * kBlockRows); ++row)
      for (int64_t c = 0; c < width; ++c) part[c] += from[row * width + c];
  });
  std::fill(to, to + width, 0.0f);
  for (int64_t chunk = 0; chunk < chunks; ++chunk)
    for (int64_t c = 0; c < width; ++c) to[c] += partial[chunk * width + c];
}

}  // namespace

NB_MODULE(_native, m) {
  using namespace nb::literals;
  m.doc() = "Native kernels of worldloom.ops on the CPU: sparse convolution, and rays and points in voxel grids.";
  m.def("isa", [] { return std::string(isa_name(active_isa())); }, "The instruction set that runs.");
  m.def("check_sites", &check_sites, "sites"_a.noconvert(), "shape"_a, "batch_size"_a);
  m.def("neighbours", &neighbours, "sites"_a.noconvert(), "shape"_a, "batch_size"_a, "queries"_a.noconvert(),
        "kernel"_a, "stride"_a, "padding"_a, "dilation"_a, "table"_a.noconvert(), "threads"_a);
  m.def("reached_sites", &reached_sites, "sites"_a.noconvert(), "out_shape"_a, "batch_size"_a, "kernel"_a,
        "stride"_a, "padding"_a, "dilation"_a, "transposed"_a);
  m.def("reverse_table", &reverse_table, "table"_a.noconvert(), "reverse"_a.noconvert(), "threads"_a);
  m.def("pairs_of", &pairs_of, "table"_a.noconvert(), "num_in"_a, "threads"_a);
  m.def("convolve", &convolve, "x"_a.noconvert(), "weight"_a.noconvert(), "bias"_a.noconvert().none(),
        "start"_a.noconvert(), "source"_a.noconvert(), "target"_a.noconvert(), "y"_a.noconvert(), "transpose"_a,
        "flip"_a, "threads"_a);
  m.def("weight_gradient", &weight_gradient, "x"_a.noconvert(), "g"_a.noconvert(), "start"_a.noconvert(),
        "source"_a.noconvert(), "target"_a.noconvert(), "dw"_a.noconvert(), "threads"_a);
  m.def("column_sum", &column_sum, "g"_a.noconvert(), "sum"_a.noconvert(), "threads"_a);
  bind_voxel_rays(m);
}
