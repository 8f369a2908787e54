#include "proto/deployment/deployment.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/os/file.hpp"

namespace holdfast::proto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kPin = "@sha256:" + std::string(64, '1');

/// One service "web" with these lines, each "key: value".
std::string document(std::initializer_list<std::string_view> lines,
                     std::string_view image = "reg.io/web:1.0.0") {
  auto text = fmt::format(
      "apiVersion: holdfast/v1\nname: shop\nservices:\n  web:\n    image: {}{}\n", image, kPin);
  for (const auto line : lines) text += fmt::format("    {}\n", line);
  return text;
}

Deployment load(std::string_view text) {
  auto deployment = load_deployment(text, "d.yaml");
  if (!deployment) throw std::runtime_error(deployment.error().what());
  return *std::move(deployment);
}

Service web(std::initializer_list<std::string_view> lines) {
  return load(document(lines)).services.at(ServiceName{"web"});
}

TEST(Deployment, PassesOnWhatIsMeantAsItIsAndLeavesAShellItsVariables) {
  const auto escaped = web({"env: {A: \"x$${HOME}y\", B: \"costs 5$ {or} more\", C: \"$5 $$ $\"}",
                            "command: [\"$$(date)\", \"$x\"]"});
  EXPECT_EQ(escaped.env.at("A"), "x${HOME}y");
  EXPECT_EQ(escaped.env.at("B"), "costs 5$ {or} more");
  EXPECT_EQ(escaped.env.at("C"), "$5 $$ $");
  EXPECT_THAT(*escaped.command, ElementsAre("$(date)", "$x"));
  EXPECT_THAT(*web({"entrypoint: [/bin/sh, -ec, \"echo ${HOME} $$(x)\"]"}).entrypoint,
              ElementsAre("/bin/sh", "-ec", "echo ${HOME} $$(x)"));
  // The shell may be in one key and its script in the other.
  EXPECT_THAT(*web({"entrypoint: [/bin/sh, -c]", "command: [\"echo ${HOME}\"]"}).command,
              ElementsAre("echo ${HOME}"));
}

TEST(Deployment, HoldsWhatTheDocumentSays) {
  const auto deployment = load(*os::read_file("tests/unit/proto/golden/shop.yaml"));
  EXPECT_EQ(deployment.name, "shop");
  EXPECT_EQ(deployment.serial, 42U);
  EXPECT_EQ(to_rfc3339(*deployment.expires), "2026-12-01T00:00:00.000Z");
  EXPECT_EQ(deployment.targets.at("role"), "web");
  EXPECT_THAT(deployment.image_policy.require_signature, ElementsAre("release-key"));
  EXPECT_EQ(deployment.image_policy.max_size, Bytes{500U << 20});

  const auto& service = deployment.services.at(ServiceName{"web"});
  EXPECT_EQ(service.image.tag, "1.8.2");
  EXPECT_THAT(*service.command, ElementsAre("--port", "8080"));
  EXPECT_FALSE(service.entrypoint);
  EXPECT_EQ(service.env.at("PORT"), "8080");
  EXPECT_THAT(service.secrets,
              ElementsAre(SecretRef{"db_password", "/etc/holdfast/secrets/db_password"}));
  EXPECT_THAT(service.publish, ElementsAre(PublishedPort{"", 80, 8080, Transport::tcp},
                                           PublishedPort{"127.0.0.1", 9000, 9000, Transport::tcp}));
  EXPECT_THAT(service.volumes, ElementsAre(VolumeMount{"uploads", "/var/uploads", false},
                                           VolumeMount{"/etc/shop", "/etc/shop", true}));
  EXPECT_THAT(service.tmpfs,
              ElementsAre(TmpfsMount{"/tmp", {}}, TmpfsMount{"/var/cache", Bytes{16U << 20}}));
  EXPECT_EQ(service.resources, (Resources{Bytes{256U << 20}, 1500, 256}));
  EXPECT_EQ(std::get<HttpProbe>(service.health->probe), (HttpProbe{8080, "/healthz", {}, {}}));
  EXPECT_EQ(service.health->start_period, Milliseconds{30'000});
  EXPECT_EQ(service.update.standby, Milliseconds{900'000});
  EXPECT_THAT(service.depends_on, ElementsAre(ServiceName{"db"}));
  EXPECT_EQ(service.security.user, "10001:10001");
  EXPECT_THAT(service.security.relaxations, IsEmpty());
  EXPECT_EQ(service.stop, (StopRule{"SIGTERM", Milliseconds{10'000}}));
}

TEST(Deployment, HasTheDefaultsOfTheDesign) {
  const auto service = web({});
  EXPECT_EQ(service.update, (UpdateRule{}));
  EXPECT_EQ(service.security, (Security{}));
  EXPECT_EQ(service.network, NetworkMode::isolated);
  EXPECT_EQ(service.restart, Restart::always);
  EXPECT_FALSE(service.health);
  EXPECT_FALSE(service.resources.memory);
}

TEST(Strategy, IsCutoverUnlessTwoInstancesWouldCollide) {
  EXPECT_EQ(web({}).update.strategy, Strategy::cutover);
  EXPECT_EQ(web({}).update.strategy_reason, "");
  const auto read_only = web({"volumes: [{source: a, target: /a, read_only: true}]"});
  EXPECT_EQ(read_only.update.strategy, Strategy::cutover);
  const auto writable =
      web({"volumes: [{source: a, target: /a, read_only: true}, {source: uploads, target: /b}]"});
  EXPECT_EQ(writable.update.strategy, Strategy::replace);
  EXPECT_EQ(writable.update.strategy_reason, "writable volume uploads");
  const auto host = web({"network: host"});
  EXPECT_EQ(host.update.strategy, Strategy::replace);
  EXPECT_EQ(host.update.strategy_reason, "host network");
  const auto written = web({"network: host", "update: {strategy: replace}"});
  EXPECT_EQ(written.update.strategy_reason, "written");
  const auto insisted = web({"volumes: [{source: a, target: /a}]", "update: {strategy: cutover}"});
  EXPECT_EQ(insisted.update.strategy, Strategy::cutover);
}

TEST(Security, CompatibleHasAWritableRootUnlessWritten) {
  EXPECT_FALSE(web({"security: {profile: compatible}"}).security.read_only);
  EXPECT_TRUE(web({"security: {profile: compatible, read_only: true}"}).security.read_only);
  EXPECT_TRUE(web({"security: {profile: compatible}"}).security.no_new_privileges);
}

TEST(Security, ListsEveryRelaxation) {
  const auto service =
      web({"network: host",
           "security: {profile: compatible, user: \"0:0\", cap_add: [CAP_SYS_TIME, NET_RAW], "
           "no_new_privileges: false, seccomp: false}"});
  EXPECT_THAT(
      service.security.relaxations,
      ElementsAre("profile compatible", "read_only false", "user 0:0", "cap_add NET_RAW",
                  "cap_add SYS_TIME", "no_new_privileges false", "seccomp false", "network host"));
  EXPECT_THAT(web({"security: {read_only: false}"}).security.relaxations,
              ElementsAre("read_only false"));
}

TEST(Security, CountsWhatRunsFromATmpfsAndWhatComesBeforeOthers) {
  EXPECT_THAT(web({"tmpfs: [{target: /a, exec: true}, {target: /b, exec: false}]",
                   "ulimits: {rtprio: 1, nice: 1, nofile: 1}"})
                  .security.relaxations,
              ElementsAre("ulimits nice", "ulimits rtprio", "tmpfs exec /a"));
  EXPECT_THAT(web({"tmpfs: [{target: /a, exec: true}]", "security: {profile: compatible}"})
                  .security.relaxations,
              ElementsAre("profile compatible", "read_only false"));
}

TEST(Devices, AreRelaxationsAndHaveTheirOwnPathUnlessAnotherIsWritten) {
  const auto service =
      web({"devices: [/dev/fuse, {source: /dev/ttyUSB0, target: /dev/modem, access: r}]"});
  EXPECT_THAT(
      service.devices,
      ElementsAre(DeviceMapping{.source = "/dev/fuse", .target = "/dev/fuse"},
                  DeviceMapping{.source = "/dev/ttyUSB0", .target = "/dev/modem", .access = "r"}));
  EXPECT_THAT(service.security.relaxations,
              ElementsAre("device /dev/fuse rw", "device /dev/ttyUSB0 r"));
}

TEST(PublishedPorts, OfARangeAreEachOnItsOwn) {
  const auto ranged = load(document({"publish: [\"8000-8002:9000-9002/udp\"]"}));
  const auto listed =
      load(document({"publish: [\"8002:9002/udp\", \"8000:9000/udp\", \"8001:9001/udp\"]"}));
  EXPECT_EQ(ranged.spec_digest, listed.spec_digest);
  EXPECT_EQ(ranged.services.at(ServiceName{"web"}).publish.size(), 3U);
  const auto clash =
      parse_deployment(document({"publish: [\"8000-8002:9000-9002\", \"8001:80\"]"}), "d.yaml");
  ASSERT_EQ(clash.errors.size(), 1U);
  EXPECT_THAT(clash.errors[0].message, HasSubstr("port 8001/tcp of the host is already published"));
}

TEST(Configs, AreOneContentAndItsDigest) {
  const auto service =
      web({"configs: [{target: /a, content: \"x\\n\"}, {target: /b, file: /srv/b, mode: \"0640\", "
           "owner: \"5:6\", digest: \"sha256:" +
           std::string(64, 'c') + "\"}]"});
  ASSERT_EQ(service.configs.size(), 2U);
  EXPECT_EQ(service.configs[0].digest, Digest::of("x\n"));
  EXPECT_EQ(service.configs[0].mode, 0444U);
  EXPECT_EQ(service.configs[1].file, "/srv/b");
  EXPECT_EQ(service.configs[1].digest.hex(), std::string(64, 'c'));
  EXPECT_EQ(service.configs[1].mode, 0640U);
  EXPECT_EQ(service.configs[1].owner, "5:6");
}

TEST(Configs, AreBounded) {
  std::string many = "configs: [";
  for (int i = 0; i < 65; ++i) many += fmt::format("{{target: /f{}, content: x}}, ", i);
  const auto parsed = parse_deployment(document({many + "]"}) + "  b:\n    image: x" + kPin +
                                           "\n    configs: [{target: /a, content: \"" +
                                           std::string((256U << 10) + 1, 'v') + "\"}]\n",
                                       "d.yaml");
  ASSERT_EQ(parsed.errors.size(), 2U);
  EXPECT_THAT(parsed.errors[0].message, HasSubstr("configs has 65 entries, more than 64"));
  EXPECT_THAT(parsed.errors[1].message, HasSubstr("has 262145 bytes, more than 262144"));
}

TEST(EnvSources, OfSecretsAreARelaxationAndThoseOfConfigsAreNot) {
  const auto service =
      web({"configs: [{target: /a, content: b}]", "secrets: [{name: DB, file: /d}]",
           "env: {A: {config: /a}, B: {secret: DB}, C: plain}"});
  EXPECT_THAT(service.security.relaxations, ElementsAre("env B from secret DB"));
  EXPECT_EQ(service.env_from.at("A").name, "/a");
  EXPECT_EQ(service.env, (std::map<std::string, std::string>{{"C", "plain"}}));
}

TEST(Ulimits, AreOneValueForBothOrEachItsOwn) {
  const auto service =
      web({"ulimits: {nofile: 9, memlock: {soft: 64Ki, hard: unlimited}, core: \"1\"}"});
  EXPECT_EQ(service.ulimits.at("nofile"), (Ulimit{.soft = 9, .hard = 9}));
  EXPECT_EQ(service.ulimits.at("memlock"), (Ulimit{.soft = 65'536, .hard = kUnlimited}));
  EXPECT_EQ(service.ulimits.at("core"), (Ulimit{.soft = 1, .hard = 1}));
}

TEST(SignedDocuments, SayWhenTheyWereIssuedAndWhatIsWithdrawn) {
  const auto head = std::string{"apiVersion: holdfast/v1\nname: s\nservices: {}\n"};
  const auto digest = "sha256:" + std::string(64, 'a');
  const auto read = load_deployment(
      head + "issued: 2026-11-30T00:00:00Z\nwithdrawn: [\"" + digest + "\"]\n", "d.yaml");
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(to_rfc3339(*read->issued), "2026-11-30T00:00:00.000Z");
  EXPECT_EQ(read->withdrawn, std::set{*Digest::parse(digest)});
  const auto plain = load_deployment(head, "d.yaml");
  EXPECT_EQ(read->spec_digest, plain->spec_digest) << "no part of the content";
  const auto fault_of = [&](const std::string& rest) {
    const auto bad = load_deployment(head + rest, "d.yaml");
    return bad ? std::string{} : bad.error().what();
  };
  EXPECT_THAT(fault_of("issued: 2026-11-30T00:00:00Z\nexpires: 2026-11-30T00:00:00Z\n"),
              testing::HasSubstr("expires is not after issued"));
  EXPECT_THAT(fault_of("issued: soon\n"), testing::HasSubstr("issued must be a point in time"));
  EXPECT_THAT(fault_of("withdrawn: [latest]\n"), testing::HasSubstr("not a spec digest"));
  EXPECT_THAT(fault_of("withdrawn: [\"" + plain->spec_digest.str() + "\"]\n"),
              testing::HasSubstr("withdraws its own content"));
  std::string many = "withdrawn:\n";
  for (int i = 0; i < 257; ++i) many += "- " + Digest::of(std::to_string(i)).str() + "\n";
  EXPECT_THAT(fault_of(many), testing::HasSubstr("257 withdrawn documents, more than 256"));
}

TEST(SpecDigest, LeavesOutSerialExpiryTargetsAndSpelling) {
  const auto plain = load(document({"env: {B: two, A: one}", "stop: {timeout: 90s}"}));
  const auto other = load(
      "# another spelling of the same\nserial: 7\nexpires: 2026-12-01T00:00:00Z\n"
      "targets: {role: web}\nservices:\n  web:\n    stop:\n      timeout: 1m30s\n    env:\n"
      "      A: 'one'\n      B: \"two\"\n    volumes: []\n    image: reg.io/web:1.0.0" +
      kPin + "\nname: shop\napiVersion: holdfast/v1\n");
  EXPECT_EQ(plain.canonical_json, other.canonical_json);
  EXPECT_EQ(plain.spec_digest, other.spec_digest);
  EXPECT_EQ(plain.spec_digest, Digest::of(plain.canonical_json));
}

TEST(SpecDigest, TellsAWrittenDefaultFromAnAbsentOne) {
  EXPECT_NE(load(document({})).spec_digest, load(document({"restart: always"})).spec_digest);
}

TEST(Hashes, FollowWhatNeedsANewContainer) {
  const auto base = web({});
  for (const std::string_view line : {"command: [x]",
                                      "entrypoint: [x]",
                                      "env: {A: b}",
                                      "working_dir: /srv",
                                      "secrets: [{name: a, file: /a}]",
                                      "volumes: [{source: a, target: /a}]",
                                      "tmpfs: [/tmp]",
                                      "resources: {memory: 8Mi}",
                                      "security: {read_only: false}",
                                      "network: none",
                                      "health: {sd_notify: true}",
                                      "init: true",
                                      "ulimits: {nofile: 10}",
                                      "shm_size: 8Mi",
                                      "sysctls: {kernel.msgmax: 1}",
                                      "tmpfs: [{target: /tmp, mode: \"0700\"}]",
                                      "security: {group_add: [mail]}",
                                      "configs: [{target: /a, content: b}]",
                                      "devices: [/dev/fuse]",
                                      "volumes: [{source: a, target: /a, subpath: b}]"}) {
    EXPECT_NE(web({line}).run_hash, base.run_hash) << line;
  }
  for (const std::string_view line :
       {"publish: [\"80:80\"]", "health: {tcp: 80}", "update: {soak: 1s}", "stop: {timeout: 1s}",
        "restart: on-failure", "labels: {team: shop}"}) {
    EXPECT_EQ(web({line}).run_hash, base.run_hash) << line;
    EXPECT_NE(web({line}).policy_hash, base.policy_hash) << line;
  }
  for (const std::string_view line : {"command: [x]", "env: {A: b}", "network: none"})
    EXPECT_EQ(web({line}).policy_hash, base.policy_hash) << line;
}

TEST(Hashes, AndTheSpecDigestLeaveOutWhatIsForOtherTools) {
  const auto plain = load(document({"health: {tcp: 80}", "security: {user: \"1\"}"}));
  const auto noted = load("x-top: [1, {a: b}]\n" +
                          document({"health: {tcp: 80, x-a: \"1\"}",
                                    "x-empty:", "security: {user: \"1\", x-by: {a: [b]}}"}));
  EXPECT_EQ(noted.canonical_json, plain.canonical_json);
  EXPECT_EQ(noted.spec_digest, plain.spec_digest);
  const ServiceName web{"web"};
  EXPECT_EQ(noted.services.at(web).run_hash, plain.services.at(web).run_hash);
  EXPECT_EQ(noted.services.at(web).policy_hash, plain.services.at(web).policy_hash);
}

TEST(Labels, AreFewAndShort) {
  std::string many = "labels: {";
  for (int i = 0; i < 33; ++i) many += fmt::format("k{}: a, ", i);
  const auto parsed =
      parse_deployment(document({many + "}", "x-a: 1"}) + "  b:\n    image: x" + kPin +
                           "\n    labels: {a: \"" + std::string(257, 'v') + "\"}\n",
                       "d.yaml");
  ASSERT_EQ(parsed.errors.size(), 2U);
  EXPECT_THAT(parsed.errors[0].message, HasSubstr("labels has 33 entries, more than 32"));
  EXPECT_THAT(parsed.errors[1].message, HasSubstr("labels.a has 257 bytes, more than 256"));
  EXPECT_EQ(web({"labels: {team: shop}"}).labels.at("team"), "shop");
}

TEST(Hashes, TakeTheImagesDigestForTheContainerAndItsNameForTheRest) {
  const auto base = load(document({})).services.at(ServiceName{"web"});
  const auto renamed = load(document({}, "mirror.io/web:1.0.1")).services.at(ServiceName{"web"});
  EXPECT_EQ(base.run_hash, renamed.run_hash);
  EXPECT_NE(base.policy_hash, renamed.policy_hash);
}

TEST(DependencyOrder, PutsEveryServiceAfterWhatItNeedsThenByName) {
  const auto line = [](std::string_view name, std::string_view needs) {
    return fmt::format("  {}: {{image: \"x{}\", depends_on: [{}]}}\n", name, kPin, needs);
  };
  const auto deployment = load("apiVersion: holdfast/v1\nname: s\nservices:\n" + line("a", "z, c") +
                               line("b", "") + line("c", "z") + line("z", "") + line("y", "b"));
  std::vector<std::string> order;
  for (const auto& name : dependency_order(deployment)) order.push_back(name.str());
  EXPECT_THAT(order, ElementsAre("b", "y", "z", "c", "a"));
}

TEST(LoadDeployment, JoinsAllFaultsAndTellsUnpinnedImagesApart) {
  const auto unpinned = load_deployment(
      "apiVersion: holdfast/v1\nname: s\nservices: {a: {image: \"x:1\"}, b: {image: \"y:1\"}}",
      "d.yaml");
  ASSERT_FALSE(unpinned);
  EXPECT_EQ(unpinned.error().code(), Errc::ref_invalid);
  EXPECT_THAT(unpinned.error().what(), HasSubstr("\nd.yaml:3:"));
  const auto both = load_deployment(
      "apiVersion: holdfast/v1\nname: s\nserial: 0\nservices: {a: {image: \"x:1\"}}", "d.yaml");
  EXPECT_EQ(both.error().code(), Errc::spec_parse);
}

TEST(Deployment, LimitsTheNumberOfServices) {
  std::string text = "apiVersion: holdfast/v1\nname: s\nservices:\n";
  for (int i = 0; i < 257; ++i) text += fmt::format("  s{}: {{image: \"x{}\"}}\n", i, kPin);
  const auto parsed = parse_deployment(text, "d.yaml");
  ASSERT_EQ(parsed.errors.size(), 1U);
  EXPECT_THAT(parsed.errors[0].message, HasSubstr("257 services, more than 256"));
}

TEST(Deployment, IsReadQuicklyHoweverHostile) {
  const SystemClock clock;
  const auto start = clock.boot();
  std::string ports = "publish: [";
  for (int i = 0; i < 20'000; ++i) ports += fmt::format("\"10.0.{}.{}:80:80\",", i / 256, i % 256);
  (void)parse_deployment(document({ports + "]"}), "x");
  std::string keys = document({});
  for (int i = 0; i < 50'000; ++i) keys += fmt::format("    enviromen{}: 1\n", i);
  (void)parse_deployment(keys, "x");
  (void)parse_deployment(document({"env: {" + std::string(900'000, 'a') + ": 1}"}), "x");
  (void)parse_deployment(document({std::string(900'000, 'e') + ": 1"}), "x");
  EXPECT_LT(clock.boot() - start, std::chrono::seconds{10});
}

TEST(Deployment, NeverRepeatsControlCharactersOfTheDocument) {
  const auto parsed = parse_deployment(document({"\"\\e]52;c;x\\a\": 1", "restart: \"\\e[31m\"",
                                                 "env: {\"\\u202e\": a}", "depends_on: [\"\\e\"]"}),
                                       "x");
  ASSERT_GE(parsed.errors.size(), 4U);
  for (const auto& error : parsed.errors) {
    const auto text = error.to_string();
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
    EXPECT_EQ(text.find("\xE2\x80\xAE"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace holdfast::proto
