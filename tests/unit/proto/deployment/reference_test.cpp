#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/deployment/schema.hpp"

// packaging/doc/deployment.md has one row for each key of the schema, and its column of changes
// says what the hashes do.

namespace holdfast::proto {
namespace {

namespace bj = boost::json;

/// The keys of a schema as the page writes them: "health.http", "tmpfs[].size".
class Keys {
 public:
  explicit Keys(const bj::value& schema) : schema_(schema) {}

  void collect(const bj::object& properties, const std::string& prefix,
               std::set<std::string>& out) {
    for (const auto& member : properties) {
      const auto& value = member.value().as_object();
      // A hook takes these as a service has them.
      if (is_shared(value)) continue;
      const auto path = prefix + std::string{member.key()};
      out.insert(path);
      below(resolve(value), path, out);
    }
  }

 private:
  static bool is_shared(const bj::object& value) {
    const auto* to = value.if_contains("$ref");
    return to != nullptr && to->as_string().starts_with("#/definitions/service/properties/");
  }
  const bj::object& resolve(const bj::object& value) const {
    const auto* to = value.if_contains("$ref");
    return to == nullptr ? value
                         : schema_.at_pointer(std::string{to->as_string()}.substr(1)).as_object();
  }
  void below(const bj::object& value, const std::string& path, std::set<std::string>& out) {
    if (const auto* own = value.if_contains("properties"))
      collect(own->as_object(), path + ".", out);
    const auto* items = value.if_contains("items");
    if (items == nullptr) return;
    const auto& item = resolve(items->as_object());
    if (const auto* own = item.if_contains("properties"))
      collect(own->as_object(), path + "[].", out);
    if (const auto* forms = item.if_contains("anyOf"))
      for (const auto& form : forms->as_array())
        if (const auto* own = form.as_object().if_contains("properties"))
          collect(own->as_object(), path + "[].", out);
  }

  const bj::value& schema_;
};

struct Row {
  std::string section;
  std::vector<std::string> cells;
};

std::map<std::string, Row> rows_of_the_page() {
  const auto page = os::read_file("packaging/doc/deployment.md");
  EXPECT_TRUE(page);
  std::map<std::string, Row> rows;
  std::string section;
  for (const auto line : split(*page, '\n')) {
    if (line.starts_with("## ")) section = line.substr(3);
    if (!line.starts_with("| `") || (section != "Document" && section != "Service")) continue;
    std::vector<std::string> cells;
    std::string text{line};
    for (auto at = text.find("\\|"); at != std::string::npos; at = text.find("\\|"))
      text.replace(at, 2, "/");
    for (const auto cell : split(text, '|')) cells.emplace_back(trim(cell));
    const auto key = cells.at(1).substr(1, cells.at(1).size() - 2);
    EXPECT_EQ(cells.size(), 9U) << key;
    const auto fresh = rows.emplace(section + ":" + key, Row{section, cells}).second;
    EXPECT_TRUE(fresh) << key << " has two rows";
  }
  return rows;
}

std::set<std::string> keys_of_the_schema() {
  const auto schema =
      bj::parse(bj::string_view{deployment_schema().data(), deployment_schema().size()});
  Keys keys{schema};
  std::set<std::string> top;
  std::set<std::string> service;
  keys.collect(schema.at("properties").as_object(), "", top);
  keys.collect(schema.at_pointer("/definitions/service/properties").as_object(), "", service);
  std::set<std::string> all;
  for (const auto& key : top) all.insert("Document:" + key);
  for (const auto& key : service) all.insert("Service:" + key);
  return all;
}

TEST(Reference, HasOneRowForEachKeyOfTheSchema) {
  const auto rows = rows_of_the_page();
  auto keys = keys_of_the_schema();
  ASSERT_GT(keys.size(), 100U);
  for (const auto& [name, row] : rows) {
    if (!name.ends_with(".*")) {
      EXPECT_EQ(keys.erase(name), 1U) << name << " is no key of the schema";
      continue;
    }
    const auto prefix = name.substr(0, name.size() - 1);
    EXPECT_GT(std::erase_if(keys, [&](const auto& key) { return key.starts_with(prefix); }), 0U)
        << name;
  }
  EXPECT_THAT(keys, testing::IsEmpty()) << "these have no row";
}

TEST(Reference, SaysOfEachKeyOfAServiceWhatTheHashesDo) {
  constexpr std::size_t kChange = 4;
  for (const auto& [name, row] : rows_of_the_page()) {
    if (row.section != "Service") continue;
    const auto key = name.substr(std::string_view{"Service:"}.size());
    const auto first = key.substr(0, key.find_first_of(".["));
    // Of these the content decides.
    if (first == "image" || key == "health.sd_notify") continue;
    EXPECT_EQ(row.cells.at(kChange).starts_with("new instance"), is_run_key(first)) << key;
    EXPECT_EQ(row.cells.at(kChange).starts_with("at once"), !is_run_key(first)) << key;
  }
}

}  // namespace
}  // namespace holdfast::proto
