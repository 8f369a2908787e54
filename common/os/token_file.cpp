#include "common/os/token_file.hpp"

#include <fmt/format.h>

#include "common/base/text.hpp"
#include "common/os/file.hpp"

namespace holdfast::os {

Result<std::string> token_of(std::string_view text, const std::filesystem::path& file) {
  std::string token{trim(text)};
  if (token.empty() || token.find_first_of(" \t\r\n") != std::string::npos)
    return Error{Errc::auth, fmt::format("{} holds no token", file.string())}.hint(
        "write the token alone, on one line");
  return token;
}

Result<std::string> read_token(const std::filesystem::path& file) {
  HF_ASSIGN(const auto text, read_regular_file(file, kMostTokenBytes));
  return token_of(text, file);
}

}  // namespace holdfast::os
