// proto/openapi.yaml against the table of operations and the members of the messages: whatever one
// of them has and the other has not fails.
#include <gmock/gmock.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <set>
#include <string>

#include "common/os/environment.hpp"
#include "proto/api/members.hpp"
#include "proto/api/operations.hpp"

namespace holdfast::proto::api {
namespace {

using Texts = std::set<std::string>;

const YAML::Node& openapi() {
  static const auto document =
      YAML::LoadFile(os::environment("HOLDFAST_SOURCE").value_or(".") + "/proto/openapi.yaml");
  return document;
}

// The name of a message as a schema.
#define HOLDFAST_SCHEMA_NAME(T) \
  std::string schema_name(const T*) { return std::string{#T} == "ErrorBody" ? "Error" : #T; }
HOLDFAST_API_MESSAGES(HOLDFAST_SCHEMA_NAME)
#undef HOLDFAST_SCHEMA_NAME

// A type in one line, from C++ …
std::string shape(const std::string*) { return "string"; }
std::string shape(const bool*) { return "boolean"; }
std::string shape(const double*) { return "number"; }
std::string shape(const std::uint64_t*) { return "integer"; }
std::string shape(const int*) { return "integer"; }
std::string shape(const std::map<std::string, std::string>*) { return "{string}"; }
/// A closed set: "string(a|b)".
template <class Known>
std::string set_of(const Known& known) {
  const std::set<std::string> sorted{known.begin(), known.end()};
  std::string text;
  for (const auto& word : sorted) text += (text.empty() ? "string(" : "|") + word;
  return text + ")";
}
template <class E>
std::string shape(const Word<E>*) {
  return set_of(Words<E>::kAll);
}
template <class T>
std::string shape(const T* message) {
  return schema_name(message);
}
template <class T>
std::string shape(const std::vector<T>*) {
  return "[" + shape(static_cast<T*>(nullptr)) + "]";
}
template <class T>
std::string shape(const std::optional<T>*) {
  return shape(static_cast<T*>(nullptr)) + "?";
}

// … and from the description.
std::string shape(const YAML::Node& schema) {
  if (const auto ref = schema["$ref"]) {
    const auto path = ref.as<std::string>();
    return path.substr(path.rfind('/') + 1);
  }
  if (schema["allOf"])
    return shape(schema["allOf"][0]) + (schema["nullable"].as<bool>(false) ? "?" : "");
  const auto type = schema["type"].as<std::string>();
  if (type == "array") return "[" + shape(schema["items"]) + "]";
  if (type == "object") return "{" + shape(schema["additionalProperties"]) + "}";
  if (const auto known = schema["enum"]; known && type == "string")
    return set_of(known.as<std::vector<std::string>>());
  return type;
}

template <class T>
std::map<std::string, std::string> members_of(const T*) {
  std::map<std::string, std::string> found;
  const auto collect = [&]<class M>(std::string_view name, M&) {
    found.emplace(name, shape(static_cast<std::remove_const_t<M>*>(nullptr)));
  };
  T sample;
  detail::members(collect, sample, static_cast<T*>(nullptr));
  // Texts of which the possible ones are known all the same.
  if constexpr (std::is_same_v<T, LedgerEntry>) found["kind"] = set_of(Words<EntryKind>::kAll);
  if constexpr (std::is_same_v<T, VersionInfo>) found["api"] = "string(v1)";
  return found;
}

template <class F>
void for_each_message(const F& check) {
#define HOLDFAST_CHECK(T) check(static_cast<const T*>(nullptr));
  HOLDFAST_API_MESSAGES(HOLDFAST_CHECK)
#undef HOLDFAST_CHECK
}

template <class F>
void for_each_operation(const F& check) {
  [&]<class... Ops>(std::tuple<Ops...>*) {
    (check(static_cast<Ops*>(nullptr)), ...);
  }(static_cast<Operations*>(nullptr));
}

/// "/v1/logs/{service}" → "/v1/logs/{}".
std::string pattern_of(const std::string& path) {
  const auto open = path.find('{');
  if (open == std::string::npos) return path;
  return path.substr(0, open + 1) + path.substr(path.find('}'));
}

/// "GET /v1/logs/{}" → its description.
std::map<std::string, YAML::Node> described() {
  std::map<std::string, YAML::Node> all;
  for (const auto& path : openapi()["paths"]) {
    for (const auto& operation : path.second) {
      auto method = operation.first.as<std::string>();
      std::transform(method.begin(), method.end(), method.begin(),
                     [](char c) { return static_cast<char>(std::toupper(c)); });
      all.emplace(method + " " + pattern_of(path.first.as<std::string>()), operation.second);
    }
  }
  return all;
}

std::string key_of(const OperationRow& row) {
  return std::string{to_string(row.method)} + " " + std::string{row.path};
}

template <class... Ts>
Texts shapes_of(std::tuple<Ts...>*) {
  return {shape(static_cast<Ts*>(nullptr))...};
}

/// What is said of the 2xx, and of a 101: "type of content: what is in it".
Texts answers_described(const YAML::Node& operation, std::string_view content_type) {
  Texts found;
  for (const auto& response : operation["responses"]) {
    const auto status = response.first.as<std::string>();
    if (!status.starts_with("2") && status != "101") continue;
    auto answer = response.second;
    if (answer["$ref"]) answer.reset(openapi()["components"]["responses"][shape(answer)]);
    for (const auto& content : answer["content"]) {
      EXPECT_EQ(content.first.as<std::string>(), content_type);
      const auto& what = content.second;
      if (what["x-items"]) {
        found.insert(shape(what["x-items"]));
      } else if (const auto choices = what["schema"]["oneOf"]) {
        for (const auto& choice : choices) found.insert(shape(choice));
      } else if (content_type == "application/json") {
        found.insert(shape(what["schema"]));
      }
    }
  }
  return found;
}

/// What a query member is as a parameter.
std::string as_parameter(const std::string& shape) {
  return shape == "boolean" ? "integer" : shape.substr(0, shape.find('?'));
}

void expect_row(const YAML::Node& operation, const OperationRow& row) {
  EXPECT_EQ(operation["operationId"].as<std::string>(""), row.name);
  EXPECT_EQ(operation["x-role"].as<std::string>(""), to_string(row.role));
  EXPECT_EQ(operation["x-idempotent"].as<bool>(true), row.repeat == Repeat::idempotent);
  EXPECT_EQ(operation["x-tcp"].as<bool>(false), row.reach != Reach::socket);
  EXPECT_EQ(operation["x-tcp-token"].as<bool>(false), row.reach == Reach::socket_and_tcp_by_token);
}

template <class Operation>
void expect_request(const YAML::Node& operation) {
  using Request = typename Operation::Request;
  std::map<std::string, std::string> parameters;
  for (const auto& parameter : operation["parameters"]) {
    if (parameter["in"].as<std::string>() == "query")
      parameters.emplace(parameter["name"].as<std::string>(), shape(parameter["schema"]));
  }
  const auto body = operation["requestBody"];
  if constexpr (std::is_same_v<Request, Nothing>) {
    EXPECT_FALSE(body);
    EXPECT_TRUE(parameters.empty());
  } else if constexpr (Operation::kRow.method == Method::get) {
    EXPECT_FALSE(body);
    auto wanted = members_of(static_cast<Request*>(nullptr));
    for (auto& [name, what] : wanted) what = as_parameter(what);
    EXPECT_EQ(parameters, wanted);
  } else {
    ASSERT_TRUE(body);
    EXPECT_TRUE(parameters.empty());
    EXPECT_EQ(shape(body["content"]["application/json"]["schema"]),
              shape(static_cast<Request*>(nullptr)));
  }
}

TEST(OpenApi, DescribesEveryOperationAndNoOther) {
  const auto all = described();
  Texts known;
  for (const auto& row : kOperations) known.insert(key_of(row));
  EXPECT_EQ(known.size(), kOperations.size()) << "two rows share method and path";
  Texts there;
  for (const auto& [key, operation] : all) there.insert(key);
  EXPECT_EQ(there, known);
}

TEST(OpenApi, SaysOfEachOperationWhatItsRowSays) {
  const auto all = described();
  for_each_operation([&]<class Operation>(Operation*) {
    const auto& row = Operation::kRow;
    SCOPED_TRACE(key_of(row));
    const auto found = all.find(key_of(row));
    ASSERT_NE(found, all.end());
    const auto& operation = found->second;
    expect_row(operation, row);
    expect_request<Operation>(operation);
    EXPECT_EQ(answers_described(operation, row.content_type),
              shapes_of(static_cast<typename Operation::Answer::Items*>(nullptr)));
  });
}

TEST(OpenApi, HasASchemaForEveryMessageAndNoOther) {
  Texts known;
  for_each_message([&](auto* message) { known.insert(schema_name(message)); });
  Texts there;
  for (const auto& schema : openapi()["components"]["schemas"])
    there.insert(schema.first.as<std::string>());
  EXPECT_EQ(there, known);
}

void expect_members(const YAML::Node& schema, const std::map<std::string, std::string>& wanted,
                    bool is_request) {
  std::map<std::string, std::string> there;
  for (const auto& property : schema["properties"])
    there.emplace(property.first.as<std::string>(), shape(property.second));
  EXPECT_EQ(there, wanted);
  Texts required;
  for (const auto& name : schema["required"]) required.insert(name.as<std::string>());
  for (const auto& [name, what] : wanted) {
    EXPECT_TRUE(is_request || required.contains(name)) << "answers have every member: " << name;
    required.erase(name);
  }
  EXPECT_TRUE(required.empty()) << *required.begin();
  EXPECT_TRUE(!is_request || !schema["additionalProperties"].as<bool>(true))
      << "requests refuse unknown members";
}

TEST(OpenApi, KnowsTheMembersOfEveryMessage) {
  for_each_message([]<class T>(const T* message) {
    SCOPED_TRACE(schema_name(message));
    expect_members(openapi()["components"]["schemas"][schema_name(message)], members_of(message),
                   kIsRequest<T>);
  });
}

}  // namespace
}  // namespace holdfast::proto::api
