#include "lmdb/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <vector>

namespace zoocache::lmdb {
namespace {

namespace fs = std::filesystem;

// Of <linux/magic.h> and the file systems' own sources: locks and shared memory do not reach across
// their machines.
constexpr struct {
  std::uint32_t magic;
  const char* name;
} kNetworkFileSystems[] = {
    {0x6969, "NFS"},      {0x517B, "SMB"},       {0xFF534D42, "CIFS"}, {0xFE534D42, "SMB2"},
    {0x00C36400, "Ceph"}, {0x5346414F, "AFS"},   {0x01021997, "9P"},   {0x0BD00BD0, "Lustre"},
    {0x01161970, "GFS2"}, {0x7461636F, "OCFS2"}, {0x6B414653, "AFS"},  {0x65735546, "FUSE"},
    {0x47504653, "GPFS"},
};

// How long a folder's time may stay as it is while the folder changes: some ticks of the kernel, or
// what a file system that keeps whole seconds rounds to.
constexpr std::int64_t kTicksNs = 20'000'000;
constexpr std::int64_t kWholeSecondsNs = 2'000'000'000;

std::uint64_t pid_namespace() {
  struct stat about;
  return stat("/proc/self/ns/pid", &about) == 0 ? about.st_ino : 0;
}

struct Neighbour {
  int format = 0;
  std::uint64_t space = 0;
  int pid = 0;
  std::string path;
};

template <class Number>
const char* read_number(const char* at, const char* end, Number* number) {
  const auto read = std::from_chars(at, end, *number);
  return read.ec == std::errc() ? read.ptr : nullptr;
}

// "<prefix><format>-<namespace>-<pid>"
bool parse_neighbour(const std::string& path, const std::string& prefix, Neighbour* found) {
  if (!path.starts_with(prefix)) return false;
  const char* const end = path.data() + path.size();
  const char* at = read_number(path.data() + prefix.size(), end, &found->format);
  if (at == nullptr || at == end || *at != '-') return false;
  at = read_number(at + 1, end, &found->space);
  if (at == nullptr || at == end || *at != '-') return false;
  at = read_number(at + 1, end, &found->pid);
  found->path = path;
  return at == end;
}

// The files of processes, of those that ended included.
std::vector<Neighbour> neighbours(const std::string& folder, Part part) {
  const std::string prefix = names_of(folder, part).process;
  std::vector<Neighbour> found;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    Neighbour one;
    if (parse_neighbour(entry->path().string(), prefix, &one)) found.push_back(std::move(one));
  }
  if (error) fail("cannot look at " + folder, error.value());
  return found;
}

// The processes that use the part; the files of those that ended are removed.
std::vector<Neighbour> live_neighbours(const std::string& folder, Part part) {
  std::vector<Neighbour> live = neighbours(folder, part);
  std::erase_if(live, [](const Neighbour& one) {
    const File file = File::open_existing(one.path, O_RDWR);
    if (file && file.is_locked()) return false;
    if (file) unlink(one.path.c_str());
    return true;
  });
  return live;
}

bool fits(const Neighbour& one, std::uint64_t space) {
  return one.format == kFormat && one.space == space;
}

// REQUIRES: it does not fit.
std::string trouble_with(const Neighbour& one, const std::string& folder) {
  const std::string who = folder + " is used by process " + std::to_string(one.pid);
  if (one.format != kFormat) {
    return who + " with another version of zoocache; stop it, or give each version its folder";
  }
  return who +
         " of another PID namespace, where its locks mean nothing; give each container "
         "its folder, or let them share the namespace";
}

std::string boot_id() {
  std::string id = read_small_file("/proc/sys/kernel/random/boot_id");
  while (!id.empty() && id.back() == '\n') id.pop_back();
  if (id.empty()) throw HomeUnreachable("/proc/sys/kernel/random/boot_id is empty; mount /proc");
  return id;
}

File hold_opening(const std::string& folder, std::chrono::nanoseconds patience) {
  constexpr std::chrono::nanoseconds kPause{1'000'000};
  File file = File::open(folder + "/open.lock", O_RDWR | O_CREAT);
  for (; !file.try_lock(); patience -= kPause) {
    if (patience.count() <= 0) {
      throw HomeUnreachable(folder +
                            " is being opened by another process, which does not come to "
                            "an end; see who holds open.lock");
    }
    const timespec pause{0, kPause.count()};
    nanosleep(&pause, nullptr);
  }
  return file;
}

// The nonce of the part's life; 0 if it is of another one.
std::uint64_t nonce_of(const std::string& boot_path) {
  const std::string text = read_small_file(boot_path);
  const std::string here = boot_id() + ' ';
  std::uint64_t nonce = 0;
  if (!text.starts_with(here)) return 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data() + here.size(), end, nonce, 16);
  return read.ec == std::errc() ? nonce : 0;
}

}  // namespace

std::string prepare_folder(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    const fs::path above = fs::absolute(path).lexically_normal().parent_path();
    fs::create_directories(above, error);
    if (error) fail("cannot make the folder " + above.string(), error.value());
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail("cannot make " + path, errno);
  }
  const fs::path real = fs::canonical(path, error);
  if (error) fail("cannot use the folder " + path, error.value());
  struct stat about;
  if (stat(real.c_str(), &about) != 0) fail("cannot use the folder " + path, errno);
  if (!S_ISDIR(about.st_mode)) {
    throw HomeUnreachable(path + " is not a folder; an LMDB home wants one of its own");
  }
  if (about.st_uid != geteuid()) {
    throw HomeUnreachable(path + " belongs to user " + std::to_string(about.st_uid) +
                          " and this process runs as " + std::to_string(geteuid()) +
                          "; all processes of a home run as its owner");
  }
  if ((about.st_mode & 022) != 0) {
    throw HomeUnreachable(path +
                          " can be written to by others, who could put false data there; "
                          "chmod 700 " +
                          path);
  }
  struct statfs system;
  if (statfs(real.c_str(), &system) != 0) fail("cannot ask for the file system of " + path, errno);
  for (const auto& one : kNetworkFileSystems) {
    if (static_cast<std::uint32_t>(system.f_type) == one.magic) {
      throw HomeUnreachable(path + " lies on " + one.name +
                            ", whose locks and memory are not one machine's; choose a local disk");
    }
  }
  return real.string();
}

PartNames names_of(const std::string& folder, Part part) {
  const std::string start = folder + (part == Part::kLog ? "/" : "/entries-");
  const std::string end = "-v" + std::to_string(kFormat);
  const std::string file = folder + (part == Part::kLog ? "/log" : "/entries") + end + ".mdb";
  return {file, start + "boot" + end, start + "process-v", start + "writers" + end + ".lock",
          start + "readers" + end + ".lock"};
}

void renew_part(const std::string& folder, Part part, FolderLife& life) {
  const PartNames names = names_of(folder, part);
  for (const std::string& path : {names.file, names.file + "-lock", names.writers, names.readers}) {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) fail("cannot remove " + path, errno);
  }
  life.nonce = random_number();
  char text[20];
  const auto end = std::to_chars(text, text + sizeof text, life.nonce, 16).ptr;
  write_small_file(names.boot, boot_id() + ' ' + std::string(text, end) + '\n');
}

FolderLife enter_folder(const std::string& folder, Part part, std::chrono::nanoseconds patience) {
  const PartNames names = names_of(folder, part);
  FolderLife life;
  life.opening = hold_opening(folder, patience);
  life.space = pid_namespace();
  const std::vector<Neighbour> live = live_neighbours(folder, part);
  for (const Neighbour& one : live) {
    if (!fits(one, life.space)) throw HomeUnreachable(trouble_with(one, folder));
  }
  life.is_shared = !live.empty();
  life.nonce = nonce_of(names.boot);
  std::error_code error;
  const bool is_there = fs::exists(names.file, error);
  if (life.nonce == 0 && is_there && life.is_shared) {
    throw HomeUnreachable(names.boot + " is missing or damaged while processes use the " +
                          "folder; stop them, or remove the whole folder");
  }
  if (life.nonce == 0 || !is_there) renew_part(folder, part, life);
  life.presence_path = names.process + std::to_string(kFormat) + '-' + std::to_string(life.space) +
                       '-' + std::to_string(getpid());
  life.presence = File::open(life.presence_path, O_RDWR | O_CREAT);
  if (!life.presence.try_lock()) {
    throw HomeUnreachable(folder +
                          " is open already in this process, by another copy of the "
                          "zoocache library; use one of them, or another folder");
  }
  return life;
}

bool is_settled(std::int64_t changed_ns, std::int64_t now_ns) noexcept {
  const bool has_whole_seconds = changed_ns % 1'000'000'000 == 0;
  return now_ns - changed_ns > (has_whole_seconds ? kWholeSecondsNs : kTicksNs);
}

Neighbours look_at_neighbours(const std::string& folder, Part part, std::uint64_t space) {
  Neighbours found;
  for (const Neighbour& one : neighbours(folder, part)) {
    if (fits(one, space)) continue;
    const File file = File::open_existing(one.path, O_RDWR);
    if (!file) continue;
    // (1) it makes its file, which moves the folder's time  (2) it locks it, which moves nothing.
    found.is_certain = false;
    if (file.is_locked()) found.trouble = trouble_with(one, folder);
  }
  return found;
}

std::vector<int> processes_of(const std::string& folder, Part part) {
  std::vector<int> live;
  for (const Neighbour& one : neighbours(folder, part)) {
    const File file = File::open_existing(one.path, O_RDWR);
    if (file && file.is_locked()) live.push_back(one.pid);
  }
  return live;
}

}  // namespace zoocache::lmdb
