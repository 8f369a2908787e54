#include <cstdint>
#include <string_view>

#include "deploy/network/cni_config.hpp"
#include "deploy/runtime/logs/logs.hpp"
#include "deploy/runtime/record/record.hpp"
#include "deploy/runtime/storage/mounts.hpp"

/// What other programs of the host print or write: CNI plugins, runc, conmon's log with the lines
/// of a container in it, the kernel's list of mounts.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::deploy;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  (void)runtime::parse_log_line(text);
  (void)runtime::parse_mountinfo(text);
  (void)runtime::parse_run_state(std::string{text});
  (void)runtime::parse_record(std::string{text});
  if (const auto list = network::parse_conflist(text)) {
    for (std::size_t i = 0; i < list->configs.size(); ++i)
      (void)network::plugin_input(*list, i, text);
  }
  (void)network::parse_result(text);
  (void)network::plugin_error("bridge", "exit 1", text, text);
  (void)network::decode_record(text);
  return 0;
}
