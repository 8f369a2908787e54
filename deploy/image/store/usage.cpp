#include "deploy/image/store/usage.hpp"

#include "common/os/file.hpp"
#include "common/os/tree_size.hpp"
#include "deploy/image/store/paths.hpp"
#include "deploy/image/store/records.hpp"

namespace holdfast::deploy::image {
namespace {

std::uint64_t layers_size(const Paths& paths, std::size_t most) {
  std::uint64_t sum = 0;
  std::error_code failed;
  std::filesystem::directory_iterator it{paths.layers(), failed};
  for (const std::filesystem::directory_iterator end; !failed && it != end && most > 0;
       it.increment(failed), --most) {
    const auto text = os::read_regular_file(paths.meta(it->path().filename().string()));
    if (!text) continue;
    if (const auto meta = decode_layer_meta(*text)) sum += meta->bytes;
  }
  return sum;
}

}  // namespace

StoreUsage store_usage(const std::filesystem::path& state_dir, std::size_t most_entries) {
  const Paths paths{state_dir};
  return {.layers = layers_size(paths, most_entries),
          .blobs = os::tree_size(paths.blobs(), most_entries),
          .partials = os::tree_size(paths.partials(), most_entries)};
}

}  // namespace holdfast::deploy::image
