#include "proto/oci/oci.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace holdfast::proto::oci {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";

std::string digest(char c) { return "sha256:" + std::string(64, c); }

std::string descriptor(std::string_view type, char c, std::string_view size = "100",
                       std::string_view extra = "") {
  return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":{}{}}})", type, digest(c), size,
                     extra);
}

std::string config_descriptor() {
  return descriptor("application/vnd.oci.image.config.v1+json", 'c');
}

std::string manifest(std::string_view layers, std::string_view extra = "") {
  return fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{}]{}}})", config_descriptor(),
                     layers, extra);
}

std::string layer(std::string_view suffix = "+gzip") {
  return descriptor(fmt::format("application/vnd.oci.image.layer.v1.tar{}", suffix), 'd');
}

std::string platform_entry(char c, std::string_view os, std::string_view arch,
                           std::string_view variant = "") {
  return descriptor(
      kOciManifest, c, "7",
      variant.empty()
          ? fmt::format(R"(,"platform":{{"os":"{}","architecture":"{}"}})", os, arch)
          : fmt::format(R"(,"platform":{{"os":"{}","architecture":"{}","variant":"{}"}})", os, arch,
                        variant));
}

Index index_of(std::string_view entries) {
  const auto text = fmt::format(R"({{"schemaVersion":2,"manifests":[{}]}})", entries);
  auto parsed = parse_manifest(text, kOciIndex, "");
  EXPECT_TRUE(parsed) << parsed.error().to_string();
  return std::get<Index>(*parsed);
}

Errc manifest_error(std::string_view text, std::string_view type = kOciManifest,
                    std::string_view expected = "") {
  const auto parsed = parse_manifest(text, type, expected);
  EXPECT_FALSE(parsed) << text;
  return parsed ? Errc::internal : parsed.error().code();
}

TEST(Manifest, ReadsConfigAndLayersInOrder) {
  const auto text =
      manifest(layer() + "," + layer("+zstd") + "," + layer("") + "," +
                   descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", 'e', "5"),
               R"(,"annotations":{"a":"b"},"futureField":[1])");
  const auto parsed = parse_manifest(text, std::string{kOciManifest} + "; charset=utf-8", "");
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  const auto& found = std::get<Manifest>(*parsed);
  EXPECT_EQ(found.config.digest.str(), digest('c'));
  ASSERT_EQ(found.layers.size(), 4U);
  EXPECT_EQ(found.layers[0].compression, Compression::gzip);
  EXPECT_EQ(found.layers[1].compression, Compression::zstd);
  EXPECT_EQ(found.layers[2].compression, Compression::none);
  EXPECT_EQ(found.layers[3].compression, Compression::gzip);
  EXPECT_EQ(found.compressed_size(), 305U);
}

TEST(Manifest, RefusesADocumentThatIsTwoThings) {
  for (const std::string extra : {R"(,"manifests":[])", R"(,"history":[])", R"(,"fsLayers":[])"}) {
    EXPECT_EQ(manifest_error(manifest(layer(), extra)), Errc::media_type) << extra;
    EXPECT_EQ(manifest_error(manifest(layer(), extra), kOciIndex), Errc::media_type) << extra;
  }
}

TEST(Manifest, RefusesSchemaOne) {
  EXPECT_EQ(manifest_error(R"({"schemaVersion":1,"fsLayers":[],"history":[]})",
                           "application/vnd.docker.distribution.manifest.v1+prettyjws"),
            Errc::media_type);
  EXPECT_EQ(manifest_error(R"({"schemaVersion":1,"layers":[]})"), Errc::media_type);
}

TEST(Manifest, BelievesNoContentTypeThatContradictsTheDocument) {
  const auto text = manifest(layer(), fmt::format(R"(,"mediaType":"{}")", kDockerManifest));
  EXPECT_EQ(manifest_error(text), Errc::media_type);
  EXPECT_TRUE(parse_manifest(text, kDockerManifest, ""));
  EXPECT_EQ(manifest_error(manifest(layer()), "text/html"), Errc::media_type);
  EXPECT_EQ(manifest_error(manifest(layer()), "application/json"), Errc::media_type);
}

TEST(Manifest, MeasuresAChildAgainstItsDescriptorNotTheHeader) {
  const auto own = manifest(layer(), fmt::format(R"(,"mediaType":"{}")", kOciManifest));
  EXPECT_TRUE(parse_manifest(own, "application/octet-stream", kOciManifest));
  EXPECT_TRUE(parse_manifest(manifest(layer()), "text/plain", kOciManifest));
  EXPECT_EQ(manifest_error(own, kOciManifest, kDockerManifest), Errc::media_type);
}

TEST(Manifest, TellsAnArtifactFromAnImage) {
  const auto text = fmt::format(
      R"({{"schemaVersion":2,"artifactType":"application/x-chart","config":{},"layers":[{}]}})",
      descriptor("application/vnd.oci.empty.v1+json", 'c', "2"), layer());
  const auto parsed = parse_manifest(text, kOciManifest, "");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code(), Errc::media_type);
  EXPECT_THAT(parsed.error().what(), HasSubstr("artifact (type application/x-chart)"));
}

TEST(OciManifest, AConfigOfOldDockerIsOneInADockerManifestOnly) {
  const auto with = [](std::string_view type) {
    return fmt::format(
        R"({{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/octet-stream",)"
        R"("digest":"sha256:{}","size":2}},"layers":[{{"mediaType":)"
        R"("application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"sha256:{}","size":2}}]}})",
        type, std::string(64, 'a'), std::string(64, 'b'));
  };
  EXPECT_TRUE(parse_manifest(with("application/vnd.docker.distribution.manifest.v2+json"), "", ""));
  const auto refused = parse_manifest(with("application/vnd.oci.image.manifest.v1+json"), "", "");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::media_type);
}

TEST(Manifest, RefusesLayersItCannotUnpack) {
  EXPECT_EQ(manifest_error(manifest(layer("+gzip+encrypted"))), Errc::media_type);
  EXPECT_EQ(manifest_error(manifest(descriptor("application/vnd.in-toto+json", 'd'))),
            Errc::media_type);
  EXPECT_EQ(manifest_error(manifest("")), Errc::layer_corrupt);
  std::string many = layer();
  for (std::size_t i = 0; i < kMaxLayers; ++i) many += "," + layer();
  EXPECT_EQ(manifest_error(manifest(many)), Errc::too_large);
}

TEST(Manifest, RefusesHostileDigestsAndSizes) {
  const auto with_digest = [](std::string_view text) {
    return manifest(fmt::format(
        R"({{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":1}})",
        text));
  };
  EXPECT_EQ(manifest_error(with_digest("sha256:../../../../tmp/x")), Errc::ref_invalid);
  EXPECT_EQ(manifest_error(with_digest("sha256:" + std::string(64, 'A'))), Errc::ref_invalid);
  EXPECT_EQ(manifest_error(with_digest("sha256:" + std::string(63, 'a'))), Errc::ref_invalid);
  EXPECT_EQ(manifest_error(with_digest("sha512:" + std::string(128, 'a'))),
            Errc::digest_unsupported);
  const auto type = "application/vnd.oci.image.layer.v1.tar";
  for (const std::string_view size : {"-1", "1.5", "1e3", "\"7\"", "99999999999999999999", "null"})
    EXPECT_EQ(manifest_error(manifest(descriptor(type, 'd', size))), Errc::layer_corrupt) << size;
  const auto huge = parse_manifest(
      manifest(descriptor(type, 'd', "18446744073709551615") + "," + layer()), kOciManifest, "");
  ASSERT_TRUE(huge);
  EXPECT_EQ(std::get<Manifest>(*huge).compressed_size(), ~std::uint64_t{0});
}

TEST(Manifest, RefusesTextThatIsNotStrictJson) {
  const std::string deep(200, '[');
  for (const std::string_view text :
       {"", "{", "[]", "null", "<html>", "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}", "{} {}",
        "{\"a\":{\"b\":1,\"\\u0062\":2}}"})
    EXPECT_EQ(manifest_error(text), Errc::layer_corrupt) << text;
  EXPECT_EQ(manifest_error(deep), Errc::layer_corrupt);
  EXPECT_EQ(manifest_error(std::string(kMaxDocumentBytes + 1, ' ')), Errc::too_large);
}

TEST(Manifest, ReadsItselfBackWithoutAHeader) {
  EXPECT_TRUE(parse_manifest(manifest(layer()), "", ""));
  EXPECT_TRUE(parse_manifest(R"({"schemaVersion":2,"manifests":[]})", "", ""));
}

TEST(Manifest, LimitsTheNumberOfLayers) {
  std::string layers = layer();
  for (int i = 1; i < 128; ++i) layers += "," + layer();
  EXPECT_TRUE(parse_manifest(manifest(layers), kOciManifest, ""));
  EXPECT_EQ(manifest_error(manifest(layers + "," + layer())), Errc::too_large);
}

TEST(Index, LimitsTheNumberOfEntries) {
  std::string entries = platform_entry('a', "linux", "amd64");
  for (int i = 1; i < 1000; ++i) entries += "," + platform_entry('a', "linux", "amd64");
  const auto text = [&] {
    return fmt::format(R"({{"schemaVersion":2,"manifests":[{}]}})", entries);
  };
  EXPECT_TRUE(parse_manifest(text(), kOciIndex, ""));
  entries += "," + platform_entry('a', "linux", "amd64");
  EXPECT_EQ(manifest_error(text(), kOciIndex), Errc::too_large);
}

TEST(Choose, TakesTheFirstEntryOfTheHostsPlatform) {
  const auto index = index_of(
      platform_entry('1', "windows", "amd64") + "," + platform_entry('2', "unknown", "unknown") +
      "," + platform_entry('3', "linux", "arm64") + "," + platform_entry('4', "linux", "amd64") +
      "," + platform_entry('5', "linux", "amd64"));
  EXPECT_EQ(choose(index, {"linux", "amd64", "v1"})->digest.str(), digest('4'));
  EXPECT_EQ(choose(index, {"linux", "arm64", "v8"})->digest.str(), digest('3'));
}

TEST(Choose, PrefersTheHighestVariantTheHostCanRun) {
  const auto index = index_of(
      platform_entry('1', "linux", "amd64") + "," + platform_entry('2', "linux", "amd64", "v2") +
      "," + platform_entry('3', "linux", "amd64", "v4") + "," +
      platform_entry('4', "linux", "x86_64", "v3") + "," +
      platform_entry('5', "linux", "arm", "6") + "," + platform_entry('6', "linux", "arm", "v5"));
  EXPECT_EQ(choose(index, {"linux", "amd64", "v1"})->digest.str(), digest('1'));
  EXPECT_EQ(choose(index, {"linux", "amd64", "v3"})->digest.str(), digest('4'));
  EXPECT_EQ(choose(index, {"linux", "arm", "v7"})->digest.str(), digest('5'));
}

TEST(Choose, NeverTakesAVariantAboveTheHost) {
  const auto index = index_of(platform_entry('1', "linux", "arm64", "v9") + "," +
                              platform_entry('2', "linux", "arm", "v8"));
  EXPECT_FALSE(choose(index, {"linux", "arm64", "v8"}));
  EXPECT_FALSE(choose(index, {"linux", "arm", "v7"}));
}

TEST(Choose, ListsWhatTheIndexOffers) {
  const auto index =
      index_of(platform_entry('1', "linux", "arm64") + "," + platform_entry('2', "linux", "s390x") +
               "," + platform_entry('3', "unknown", "unknown"));
  const auto chosen = choose(index, {"linux", "amd64", "v1"});
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().code(), Errc::platform);
  EXPECT_THAT(chosen.error().what(),
              HasSubstr("linux/amd64; it offers linux/arm64/v8, linux/s390x"));
}

TEST(Choose, SkipsEntriesThatAreNoManifests) {
  const auto index = index_of(descriptor("application/vnd.oci.image.layer.v1.tar", '1', "3",
                                         R"(,"platform":{"os":"linux","architecture":"amd64"})") +
                              "," + descriptor(kOciManifest, '2'));
  EXPECT_EQ(choose(index, {"linux", "amd64", "v1"})->digest.str(), digest('2'));
}

TEST(HostPlatform, IsLinuxAndNormalised) {
  const auto host = host_platform();
  EXPECT_EQ(host.os, "linux");
  EXPECT_TRUE(choose(index_of(platform_entry('1', "linux", host.architecture)), host));
}

std::string config(std::string_view settings, std::string_view ids = "") {
  return fmt::format(
      R"({{"os":"linux","architecture":"amd64","config":{},"rootfs":{{"type":"layers","diff_ids":[{}]}}}})",
      settings, ids.empty() ? "\"" + digest('1') + "\",\"" + digest('2') + "\"" : std::string{ids});
}

TEST(ImageConfig, ReadsWhatIsNeededToRun) {
  const auto parsed = parse_config(config(R"({"User":"10001:10001","Env":["PATH=/bin","A==b"],
      "Entrypoint":["/web"],"Cmd":["--port","80"],"WorkingDir":"/srv","Volumes":{"/data":{}},
      "StopSignal":"SIGQUIT","Labels":{"a":"b"},"Healthcheck":{"Test":["CMD","x"]}})"));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->platform, (Platform{"linux", "amd64", "v1"}));
  EXPECT_THAT(parsed->diff_ids, ElementsAre(Digest::from_hex(std::string(64, '1')),
                                            Digest::from_hex(std::string(64, '2'))));
  EXPECT_EQ(parsed->user, "10001:10001");
  EXPECT_THAT(parsed->env, ElementsAre("PATH=/bin", "A==b"));
  EXPECT_THAT(parsed->entrypoint, ElementsAre("/web"));
  EXPECT_THAT(parsed->command, ElementsAre("--port", "80"));
  EXPECT_EQ(parsed->working_dir, "/srv");
  EXPECT_THAT(parsed->volumes, ElementsAre("/data"));
  EXPECT_EQ(parsed->stop_signal, "SIGQUIT");
  EXPECT_EQ(parsed->labels.at("a"), "b");
}

TEST(ImageConfig, TakesNullForEveryOptionalField) {
  EXPECT_TRUE(parse_config(config(R"({"User":null,"Env":null,"Entrypoint":null,"Cmd":null,
      "WorkingDir":null,"Volumes":null,"StopSignal":null,"Labels":null})")));
  EXPECT_TRUE(parse_config(config("null")));
}

TEST(ImageConfig, RefusesEnvEntriesThatARuntimeWouldFillFromTheHost) {
  for (const std::string_view entry : {"*", "SECRET", "=x", ""}) {
    const auto parsed = parse_config(config(fmt::format(R"({{"Env":["{}"]}})", entry)));
    ASSERT_FALSE(parsed) << entry;
    EXPECT_EQ(parsed.error().code(), Errc::runtime) << entry;
  }
}

TEST(ImageConfig, RefusesHostilePathsAndNul) {
  EXPECT_EQ(parse_config(config(R"({"Volumes":{"/../../etc":{}}})")).error().code(),
            Errc::layer_corrupt);
  EXPECT_EQ(parse_config(config(R"({"Volumes":{"etc":{}}})")).error().code(), Errc::layer_corrupt);
  EXPECT_EQ(parse_config(config(R"({"WorkingDir":"/proc/self/fd/7"})")).error().code(),
            Errc::runtime);
  EXPECT_EQ(parse_config(config(R"({"Cmd":["a\u0000b"]})")).error().code(), Errc::layer_corrupt);
  EXPECT_EQ(parse_config(config(R"({"Env":["A=\u0000"]})")).error().code(), Errc::layer_corrupt);
}

TEST(ImageConfig, RefusesABrokenRootfs) {
  EXPECT_EQ(parse_config(R"({"os":"linux","architecture":"amd64"})").error().code(),
            Errc::layer_corrupt);
  EXPECT_EQ(
      parse_config(R"({"os":"linux","architecture":"amd64","rootfs":{"type":"x"}})").error().code(),
      Errc::layer_corrupt);
  EXPECT_EQ(parse_config(config("{}", R"("sha256:../x")")).error().code(), Errc::ref_invalid);
  EXPECT_EQ(parse_config(config("{}", "7")).error().code(), Errc::layer_corrupt);
  EXPECT_EQ(parse_config(R"({"rootfs":{"type":"layers","diff_ids":[]}})").error().code(),
            Errc::layer_corrupt);
}

TEST(ChainId, FollowsTheImageSpecification) {
  const std::vector<Digest> ids{Digest::of("one"), Digest::of("two"), Digest::of("three")};
  EXPECT_EQ(chain_id(ids, 1), ids[0]);
  EXPECT_EQ(chain_id(ids, 2), Digest::of(ids[0].str() + " " + ids[1].str()));
  EXPECT_EQ(chain_id(ids, 3), Digest::of(chain_id(ids, 2).str() + " " + ids[2].str()));
}

TEST(Accept, ListsTheFourTypesAndNoWildcard) {
  EXPECT_THAT(std::string{manifest_accept()}, HasSubstr(std::string{kOciIndex}));
  EXPECT_EQ(manifest_accept().find('*'), std::string_view::npos);
}

TEST(Layout, ListsImagesByNameAndLeavesOutWhatIsNone) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const auto entry = [&](const std::string& type, const std::string& notes) {
    return R"({"mediaType":")" + type + R"(","digest":")" + digest +
           R"(","size":7,"annotations":)" + notes + "}";
  };
  const std::string image = "application/vnd.oci.image.manifest.v1+json";
  const auto parsed = parse_layout(
      R"({"schemaVersion":2,"manifests":[)" +
      entry(image, R"({"org.opencontainers.image.ref.name":"1.0",)"
                   R"("io.containerd.image.name":"registry.example.com/web:1.0"})") +
      "," + entry(image, "null") + "," + entry("application/vnd.oci.empty.v1+json", "{}") + "]}");
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  ASSERT_EQ(parsed->size(), 2U);
  EXPECT_EQ(parsed->front().name, "registry.example.com/web:1.0");
  EXPECT_EQ(parsed->front().image.size, 7U);
  EXPECT_EQ(parsed->back().name, "");
}

TEST(Layout, RefusesWhatIsNone) {
  for (const char* text : {"", "[]", "{}", R"({"schemaVersion":1,"manifests":[]})",
                           R"({"schemaVersion":2,"manifests":{}})",
                           R"({"schemaVersion":2,"manifests":[{"mediaType":"x"}]})",
                           R"({"schemaVersion":2,"manifests":[7]})"})
    EXPECT_FALSE(parse_layout(text)) << text;
}

}  // namespace
}  // namespace holdfast::proto::oci
