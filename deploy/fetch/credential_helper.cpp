#include "deploy/fetch/credential_helper.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cctype>

#include "common/base/text.hpp"
#include "common/os/process.hpp"
#include "proto/json/fields.hpp"

namespace holdfast::deploy::fetch {
namespace {

using proto::json::json_object;
using proto::json::string_field;

constexpr Milliseconds kPatience{10'000};
constexpr std::size_t kMaxAnswer = 64U << 10;

bool is_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
  });
}

Result<std::filesystem::path> find_helper(const std::string& name,
                                          const std::vector<std::filesystem::path>& directories) {
  for (const auto& directory : directories) {
    auto path = directory / ("docker-credential-" + name);
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) continue;
    const bool foreign = info.st_uid != 0 && info.st_uid != geteuid();
    if (!S_ISREG(info.st_mode) || foreign || (info.st_mode & 022U) != 0)
      return Error{Errc::auth, fmt::format("the credential helper {} must be a program of root "
                                           "that nobody else can write",
                                           path.string())};
    return path;
  }
  return Error{Errc::auth,
               fmt::format("the credential helper docker-credential-{} is not there", name)}
      .hint("install it, or put the login itself under \"auths\"");
}

}  // namespace

Result<Login> ask_helper(const std::string& name, std::string_view host,
                         const std::vector<std::filesystem::path>& directories) {
  if (!is_name(name))
    return Error{Errc::auth,
                 fmt::format("\"{}\" is not the name of a credential helper", printable(name))};
  HF_ASSIGN(const auto program, find_helper(name, directories));
  os::RunOptions options;
  options.spawn = {.argv = {program.string(), "get"},
                   .env = {os::kChildPath, "HOME=/root"},
                   .fds = {},
                   .directory = "/",
                   .new_session = true};
  options.input = host == "docker.io" ? "https://index.docker.io/v1/" : std::string{host};
  options.timeout = kPatience;
  options.output_limit = kMaxAnswer;
  auto answered = os::run(options);
  if (!answered) return std::move(answered).error().in("credential helper " + name);
  if (!os::succeeded(answered->status)) {
    if (answered->out.find("credentials not found in native keychain") != std::string::npos)
      return Login{};
    return Error{Errc::auth, fmt::format("the credential helper {} failed for {}: {}", name, host,
                                         os::describe(answered->status))}
        .hint(fmt::format("try: echo {} | {} get", host, program.string()));
  }
  auto answer = json_object(answered->out, Errc::auth);
  if (!answer)
    return Error{Errc::auth, fmt::format("the credential helper {} answers with no JSON", name)};
  Login login{.user = string_field(*answer, "Username"),
              .password = string_field(*answer, "Secret"),
              .identity_token = {}};
  if (login.user == "<token>")
    login = {.user = {}, .password = {}, .identity_token = login.password};
  return login;
}

}  // namespace holdfast::deploy::fetch
