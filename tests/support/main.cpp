// The main() of every test program: --file=tests/unit/proto/digest_test.cpp runs the tests that
// this file holds, and no others.
#include <gmock/gmock.h>

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view kOption = "--file=";

/// The value of --file, or nothing.
std::optional<std::string_view> wanted_file(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.starts_with(kOption)) return argument.substr(kOption.size());
  }
  return std::nullopt;
}

/// A googletest filter that names each test of `file`; empty when it holds none.
std::string filter_for(std::string_view file) {
  std::string filter;
  const auto& all = *testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const auto& suite = *all.GetTestSuite(i);
    for (int k = 0; k < suite.total_test_count(); ++k) {
      const auto& test = *suite.GetTestInfo(k);
      if (!std::string_view{test.file()}.ends_with(file)) continue;
      filter += filter.empty() ? "" : ":";
      filter += std::string{suite.name()} + "." + test.name();
    }
  }
  return filter;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  if (const auto file = wanted_file(argc, argv)) {
    const auto filter = filter_for(*file);
    if (filter.empty()) {
      std::fprintf(stderr, "%s: no test of this program is in %.*s\n", argv[0],
                   static_cast<int>(file->size()), file->data());
      return 2;
    }
    GTEST_FLAG_SET(filter, filter);
  }
  return RUN_ALL_TESTS();
}
