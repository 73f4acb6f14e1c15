// Occupied cells of a batch of grids: build the index that neighbours() reads, and make new sorted site lists.
#pragma once
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "sparse_kernels.h"

namespace wl {

// A grow-as-you-go set of cells, 64 to a word. Dense while the directory costs at most about 100 bytes per expected
// cell, hashed beyond.
class CellSet {
 public:
  CellSet(int64_t num_cells, int64_t expected) {
    const int64_t words = (num_cells + 63) / 64;
    dense_ = words <= 8 * expected + 4096;
    if (dense_) {
      mask_.assign(words, 0);
    } else {
      resize_hash(std::max<int64_t>(64, expected));
    }
  }

  // False if the cell was there already.
  bool insert(int64_t cell) {
    const int64_t slot = dense_ ? cell >> 6 : slot_for(cell >> 6);
    const uint64_t bit = uint64_t{1} << (cell & 63);
    if (mask_[slot] & bit) return false;
    mask_[slot] |= bit;
    ++count_;
    return true;
  }

  int64_t count() const { return count_; }

  // Call take(cell) for every cell, ascending.
  template <class Take>
  void for_each(Take&& take) const {
    const auto emit = [&](int64_t word, uint64_t mask) {
      for (; mask; mask &= mask - 1) take(word * 64 + __builtin_ctzll(mask));
    };
    if (dense_) {
      for (int64_t word = 0; word < static_cast<int64_t>(mask_.size()); ++word) emit(word, mask_[word]);
      return;
    }
    std::vector<int64_t> slots;
    for (int64_t slot = 0; slot < static_cast<int64_t>(word_.size()); ++slot)
      if (word_[slot] >= 0) slots.push_back(slot);
    std::sort(slots.begin(), slots.end(), [&](int64_t a, int64_t b) { return word_[a] < word_[b]; });
    for (int64_t slot : slots) emit(word_[slot], mask_[slot]);
  }

  // The index over these cells, where cells[row] is the cell of each row. Valid while this object lives.
  CellIndex index(const std::vector<int64_t>& cells) {
    first_.resize(mask_.size());
    int32_t next = 0;
    for (size_t slot = 0; slot < mask_.size(); ++slot) {
      first_[slot] = next;
      next += __builtin_popcountll(mask_[slot]);
    }
    // In a dense directory the rank of a cell is its place in sorted order: sorted rows need no table.
    const bool in_order = dense_ && std::is_sorted(cells.begin(), cells.end());
    if (!in_order) {
      rows_.resize(cells.size());
      for (size_t row = 0; row < cells.size(); ++row) {
        const int64_t slot = dense_ ? cells[row] >> 6 : slot_for(cells[row] >> 6);
        const uint64_t below = mask_[slot] & ((uint64_t{1} << (cells[row] & 63)) - 1);
        rows_[first_[slot] + __builtin_popcountll(below)] = static_cast<int32_t>(row);
      }
    }
    return {mask_.data(), first_.data(), dense_ ? nullptr : word_.data(), shift_,
            static_cast<int64_t>(mask_.size()), in_order ? nullptr : rows_.data()};
  }

 private:
  int64_t slot_for(int64_t word) {
    if (2 * (used_ + 1) > static_cast<int64_t>(word_.size())) resize_hash(word_.size());
    const int64_t last = static_cast<int64_t>(word_.size()) - 1;
    int64_t slot = hash_slot(word, shift_);
    while (word_[slot] != word) {
      if (word_[slot] < 0) {
        word_[slot] = word;
        ++used_;
        break;
      }
      slot = (slot + 1) & last;
    }
    return slot;
  }

  void resize_hash(int64_t expected) {
    int bits = 7;
    while ((int64_t{1} << bits) < 2 * expected) ++bits;
    std::vector<int64_t> words(int64_t{1} << bits, -1);
    std::vector<uint64_t> masks(words.size(), 0);
    words.swap(word_);
    masks.swap(mask_);
    shift_ = 64 - bits;
    used_ = 0;
    for (size_t slot = 0; slot < words.size(); ++slot)
      if (words[slot] >= 0) mask_[slot_for(words[slot])] = masks[slot];
  }

  bool dense_;
  int shift_ = 0;
  int64_t count_ = 0, used_ = 0;
  std::vector<uint64_t> mask_;
  std::vector<int64_t> word_;
  std::vector<int32_t> first_, rows_;
};

}  // namespace wl
