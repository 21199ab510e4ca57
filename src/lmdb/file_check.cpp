#include "lmdb/file_check.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string_view>
#include <vector>

#include "lmdb/file.h"

namespace zoocache::lmdb {
namespace {

constexpr std::size_t kPageBytes = 4096;  // the file is another's if it has other pages
constexpr std::size_t kPageHead = 16;
constexpr std::size_t kNodeHead = 8;
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
constexpr std::uint64_t kMetaPages = 2;
constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint32_t kDataFormat = 1;
constexpr std::uint16_t kBranch = 1;
constexpr std::uint16_t kLeaf = 2;
constexpr std::uint16_t kOverflow = 4;
constexpr std::uint16_t kMeta = 8;
constexpr std::uint16_t kBigData = 1;  // of a node: the value lies on pages of its own
constexpr std::uint16_t kDeepest = 32;
constexpr std::size_t kLongestKey = 511;
constexpr std::uint64_t kMostMapBytes = std::uint64_t{1} << 46;

// What stops the walk.
struct Damage {
  const char* what;
  std::uint64_t page;
};

void demand(bool holds, const char* what, std::uint64_t page) {
  if (!holds) throw Damage{what, page};
}

template <class Number>
Number read_number(const char* at) noexcept {
  Number number;
  std::memcpy(&number, at, sizeof number);
  return number;
}

struct Tree {
  std::uint16_t flags = 0;
  std::uint16_t depth = 0;
  std::uint64_t branches = 0;
  std::uint64_t leaves = 0;
  std::uint64_t overflows = 0;
  std::uint64_t entries = 0;
  std::uint64_t root = kNoPage;
  std::uint32_t pad = 0;
};

Tree tree_at(const char* at) noexcept {
  Tree tree;
  tree.pad = read_number<std::uint32_t>(at);
  tree.flags = read_number<std::uint16_t>(at + 4);
  tree.depth = read_number<std::uint16_t>(at + 6);
  tree.branches = read_number<std::uint64_t>(at + 8);
  tree.leaves = read_number<std::uint64_t>(at + 16);
  tree.overflows = read_number<std::uint64_t>(at + 24);
  tree.entries = read_number<std::uint64_t>(at + 32);
  tree.root = read_number<std::uint64_t>(at + 40);
  return tree;
}

struct MetaPage {
  std::uint64_t map_bytes = 0;
  Tree free;
  Tree main;
  std::uint64_t last_page = 0;
  std::uint64_t txnid = 0;
};

class Walk {
 public:
  explicit Walk(std::string_view bytes) : bytes_(bytes) {}

  void run() {
    const MetaPage meta = newest_meta();
    used_.assign(meta.last_page + 1, false);
    used_[0] = used_[1] = true;
    newest_ = meta.txnid;
    walk(meta.free, true);
    walk(meta.main, false);
    for (const std::uint64_t page : free_pages_) take(page, 1, "a free page is in use");
  }

 private:
  MetaPage meta_at(std::uint64_t page) const {
    demand(bytes_.size() >= kMetaPages * kPageBytes, "the file is too short", page);
    const char* const at = bytes_.data() + page * kPageBytes;
    demand(read_number<std::uint64_t>(at) == page && read_number<std::uint16_t>(at + 10) == kMeta,
           "not a meta page", page);
    demand(read_number<std::uint32_t>(at + 16) == kMagic &&
               read_number<std::uint32_t>(at + 20) == kDataFormat,
           "not a file of LMDB 0.9", page);
    MetaPage meta;
    demand(read_number<std::uint64_t>(at + 24) == 0, "a fixed address", page);
    meta.map_bytes = read_number<std::uint64_t>(at + 32);
    meta.free = tree_at(at + 40);
    meta.main = tree_at(at + 88);
    meta.last_page = read_number<std::uint64_t>(at + 136);
    meta.txnid = read_number<std::uint64_t>(at + 144);
    return meta;
  }

  MetaPage newest_meta() const {
    const MetaPage metas[kMetaPages] = {meta_at(0), meta_at(1)};
    const std::uint64_t at = metas[0].txnid < metas[1].txnid ? 1 : 0;
    const MetaPage& newest = metas[at];
    // Transactions take turns with the pages; in a new file both are of none.
    const bool is_new = newest.txnid == 0;
    demand(is_new || (newest.txnid % kMetaPages == at && metas[1 - at].txnid + 1 == newest.txnid),
           "not the last two transactions", at);
    for (const MetaPage& one : metas) {
      demand(one.free.pad == kPageBytes, "pages of another size", at);
      constexpr std::uint16_t kOfTrees = 0x7F;  // those flags that say how keys are compared
      demand((one.free.flags & kOfTrees) == MDB_INTEGERKEY && one.main.flags == 0,
             "flags of another kind of tree", at);
    }
    demand(newest.last_page < kMostMapBytes / kPageBytes && newest.map_bytes <= kMostMapBytes &&
               newest.map_bytes % kPageBytes == 0 && newest.last_page + 1 >= kMetaPages &&
               (newest.last_page + 1) * kPageBytes <= newest.map_bytes,
           "sizes that cannot be", at);
    return newest;
  }

  // The pages from `page` on are used, by one only.
  void take(std::uint64_t page, std::uint64_t count, const char* trouble) {
    demand(page >= kMetaPages && count > 0 && page < used_.size() && count <= used_.size() - page,
           "a page beyond the last", page);
    for (std::uint64_t one = page; one < page + count; ++one) {
      demand(!used_[one], trouble, one);
      used_[one] = true;
    }
  }

  const char* page_at(std::uint64_t page, std::uint64_t count) const {
    demand(page + count <= bytes_.size() / kPageBytes, "a page beyond the file", page);
    const char* const at = bytes_.data() + page * kPageBytes;
    demand(read_number<std::uint64_t>(at) == page, "a page with another's number", page);
    return at;
  }

  void walk(const Tree& tree, bool is_free) {
    seen_ = {};
    seen_.depth = tree.depth;
    is_free_ = is_free;
    if (tree.root == kNoPage) {
      demand(tree.depth == 0, "a depth without a root", 0);
    } else {
      demand(tree.depth >= 1 && tree.depth < kDeepest, "a tree too deep", tree.root);
      visit(tree.root, 1);
    }
    demand(seen_.branches == tree.branches && seen_.leaves == tree.leaves &&
               seen_.overflows == tree.overflows && seen_.entries == tree.entries,
           "counts that are not those of the tree", tree.root);
  }

  void visit(std::uint64_t page, std::uint16_t depth) {
    take(page, 1, "a page is used twice");
    const char* const at = page_at(page, 1);
    const bool is_leaf = depth == seen_.depth;
    demand(read_number<std::uint16_t>(at + 10) == (is_leaf ? kLeaf : kBranch),
           "a page of another kind", page);
    const std::size_t lower = read_number<std::uint16_t>(at + 12);
    const std::size_t upper = read_number<std::uint16_t>(at + 14);
    demand(kPageHead <= lower && lower <= upper && upper <= kPageBytes && lower % 2 == 0,
           "bounds outside of the page", page);
    const std::size_t count = (lower - kPageHead) / 2;
    demand(count >= (is_leaf ? 1 : 2), "a page without nodes", page);
    ++(is_leaf ? seen_.leaves : seen_.branches);
    std::size_t taken = 0;
    for (std::size_t index = 0; index < count; ++index) {
      const std::size_t offset = read_number<std::uint16_t>(at + kPageHead + 2 * index);
      demand(offset >= upper && offset + kNodeHead <= kPageBytes && offset % 2 == 0,
             "a node outside of its page", page);
      taken += is_leaf ? leaf_node(at, offset, page) : branch_node(at, offset, page, depth, index);
    }
    demand(taken == kPageBytes - upper, "nodes that do not fill their page", page);
  }

  static std::size_t even(std::size_t size) noexcept { return (size + 1) & ~std::size_t{1}; }

  std::size_t branch_node(const char* at, std::size_t offset, std::uint64_t page,
                          std::uint16_t depth, std::size_t index) {
    const char* const node = at + offset;
    const std::uint64_t child = read_number<std::uint32_t>(node) |
                                std::uint64_t{read_number<std::uint16_t>(node + 4)} << 32;
    const std::size_t key_bytes = read_number<std::uint16_t>(node + 6);
    demand(key_bytes <= kLongestKey && (key_bytes > 0 || index == 0), "a key that is none", page);
    demand(!is_free_ || key_bytes == (index == 0 ? key_bytes : sizeof(std::uint64_t)),
           "a key that is no number", page);
    demand(offset + kNodeHead + key_bytes <= kPageBytes, "a node outside of its page", page);
    visit(child, static_cast<std::uint16_t>(depth + 1));
    return even(kNodeHead + key_bytes);
  }

  std::size_t leaf_node(const char* at, std::size_t offset, std::uint64_t page) {
    const char* const node = at + offset;
    const std::size_t size = read_number<std::uint32_t>(node);
    const auto flags = read_number<std::uint16_t>(node + 4);
    const std::size_t key_bytes = read_number<std::uint16_t>(node + 6);
    demand(key_bytes > 0 && key_bytes <= kLongestKey, "a key that is none", page);
    demand(flags == 0 || flags == kBigData, "a node of another kind", page);
    const std::size_t here = flags == kBigData ? sizeof(std::uint64_t) : size;
    const std::size_t whole = kNodeHead + key_bytes + here;
    demand(here <= kPageBytes && offset + whole <= kPageBytes, "a node outside of its page", page);
    const char* value = node + kNodeHead + key_bytes;
    if (flags == kBigData) value = overflow_value(read_number<std::uint64_t>(value), size);
    if (is_free_) free_row(node + kNodeHead, key_bytes, value, size, page);
    ++seen_.entries;
    return even(whole);
  }

  const char* overflow_value(std::uint64_t page, std::size_t size) {
    demand(page < used_.size(), "a page beyond the last", page);
    const char* const at = page_at(page, 1);
    demand(read_number<std::uint16_t>(at + 10) == kOverflow, "a page of another kind", page);
    const std::uint64_t pages = read_number<std::uint32_t>(at + 12);
    demand(pages >= (kPageHead - 1 + size) / kPageBytes + 1, "a value beyond its pages", page);
    take(page, pages, "a page is used twice");
    page_at(page, (kPageHead - 1 + size) / kPageBytes + 1);
    seen_.overflows += pages;
    return at + kPageHead;
  }

  // The pages that a transaction let go: their number, and each of them, the last one first.
  void free_row(const char* key, std::size_t key_bytes, const char* value, std::size_t size,
                std::uint64_t page) {
    demand(key_bytes == sizeof(std::uint64_t) && read_number<std::uint64_t>(key) <= newest_,
           "free pages of no transaction", page);
    demand(size >= sizeof(std::uint64_t) && size % sizeof(std::uint64_t) == 0,
           "a list of free pages that is none", page);
    const auto count = read_number<std::uint64_t>(value);
    demand(count < size / sizeof(std::uint64_t), "more free pages than are listed", page);
    std::uint64_t last = kNoPage;
    for (std::uint64_t index = 1; index <= count; ++index) {
      const auto one = read_number<std::uint64_t>(value + index * sizeof(std::uint64_t));
      demand(one < last, "a list of free pages out of order", page);
      free_pages_.push_back(one);
      last = one;
    }
  }

  const std::string_view bytes_;
  std::vector<bool> used_;
  std::vector<std::uint64_t> free_pages_;
  std::uint64_t newest_ = 0;
  Tree seen_;  // of the tree that is walked: its depth, and what was counted
  bool is_free_ = false;
};

}  // namespace

std::string damage_of(const std::string& path) {
  const File file = File::open_existing(path, O_RDONLY);
  if (!file) return {};
  struct stat about;
  if (fstat(file.get(), &about) != 0) fail("cannot look at " + path, errno);
  const auto size = static_cast<std::size_t>(about.st_size);
  if (size == 0) return {};
  void* const memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) fail("cannot map " + path, errno);
  std::string found;
  try {
    Walk({static_cast<const char*>(memory), size}).run();
  } catch (const Damage& damage) {
    found = path + " is damaged: page " + std::to_string(damage.page) + ": " + damage.what;
  } catch (const std::bad_alloc&) {
    found = path + " is too large to be looked through";
  }
  munmap(memory, size);
  return found;
}

}  // namespace zoocache::lmdb
