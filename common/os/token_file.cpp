#include "common/os/token_file.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::os {

Result<std::string> read_token(const std::filesystem::path& file) {
  constexpr std::size_t kMostBytes = 16U << 10;
  HF_ASSIGN(const auto text, read_regular_file(file, kMostBytes));
  std::string token{trim(text)};
  if (token.empty() || token.find_first_of(" \t\r\n") != std::string::npos)
    return Error{Errc::auth, fmt::format("{} holds no token", file.string())}.hint(
        "write the token alone, on one line");
  return token;
}

}  // namespace holdfast::os
