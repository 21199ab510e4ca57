// A program that shares its invalidations and its values through a folder, built against an
// installed copy.
#include <zoocache/lmdb.h>
#include <zoocache/zoocache.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

int main() {
  std::string folder = (std::filesystem::temp_directory_path() / "zoocache-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 1;
  int loads = 0;
  bool right = false;
  {
    const zoocache::HomePtr home = zoocache::lmdb_home(folder);
    zoocache::Cache reader{{.home = home}};
    zoocache::Cache writer{{.home = home}};
    const auto get = reader.cacheable(
        "get", [&loads](int id) { return id + ++loads; }, zoocache::deps("user:{0}"));
    right = *get(1) == 2 && *get(1) == 2;
    writer.invalidate("user:1");
    right = right && *get(1) == 3;
    const zoocache::StoragePtr storage = zoocache::lmdb_storage(folder, {.max_bytes = 1 << 20});
    right = right && storage->connect() != nullptr;
  }
  std::filesystem::remove_all(folder);
  std::printf("%s\n", right ? "right" : "wrong");
  return right ? 0 : 1;
}
