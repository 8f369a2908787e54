#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "agent/worker/unpack/archive_index.hpp"
#include "common/os/unique_fd.hpp"

/// An image archive that an operator hands to `holdfast image import`: what the index names lies in
/// the file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  const os::UniqueFd file{memfd_create("archive", MFD_CLOEXEC)};
  if (!file || ::write(file.get(), data, size) != static_cast<ssize_t>(size)) return 0;
  const auto index = agent::worker::unpack::index_archive(file.get());
  if (!index) return 0;
  const auto check = [&](const agent::worker::unpack::Extent& extent) {
    if (extent.offset > size || extent.size > size - extent.offset) std::abort();
  };
  check(index->layout);
  for (const auto& [hex, extent] : index->blobs) {
    if (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos)
      std::abort();
    check(extent);
  }
  return 0;
}
