#include "deploy/image/pull/object_requests.hpp"

#include <gmock/gmock.h>

#include "proto/oci/oci.hpp"

namespace holdfast::deploy::image {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const proto::Digest kDigest = proto::Digest::parse("sha256:" + std::string(64, 'a')).value();

ObjectRequests registry() {
  return ObjectRequests::at_registry(
      proto::ImageRef::parse("r.io/shop/web@" + kDigest.str()).value());
}

TEST(ObjectRequests, AskARegistryAsTheDistributionSpecificationSays) {
  const auto manifest = registry().object(ObjectKind::manifest, kDigest, 0);
  EXPECT_EQ(manifest.url, "/v2/shop/web/manifests/" + kDigest.str());
  EXPECT_THAT(manifest.headers, ElementsAre(HasSubstr("oci.image.index.v1+json")));
  EXPECT_EQ(manifest.limits.bytes, proto::oci::kMaxDocumentBytes);
  EXPECT_EQ(manifest.limits.answer_seconds, 60U);
  const auto blob = registry().object(ObjectKind::blob, kDigest, 123);
  EXPECT_EQ(blob.url, "/v2/shop/web/blobs/" + kDigest.str());
  EXPECT_EQ(blob.size, 123U);
  EXPECT_EQ(blob.limits.bytes, 123U);
  EXPECT_EQ(blob.limits.answer_seconds, 0U) << "a large layer may take long, if it moves";
  EXPECT_EQ(blob.subject, "shop/web@" + kDigest.str());
}

TEST(ObjectRequests, AskAnArchiveForTheFilesOfItsLayout) {
  for (const auto kind : {ObjectKind::manifest, ObjectKind::blob}) {
    const auto request = ObjectRequests::in_archive().object(kind, kDigest, 5);
    EXPECT_EQ(request.url, "/blobs/sha256/" + kDigest.hex());
    EXPECT_THAT(request.headers, IsEmpty());
    EXPECT_EQ(request.limits.bytes, 5U);
  }
  EXPECT_EQ(ObjectRequests::layout().url, "/index.json");
}

TEST(ExplainFetch, AddsANextStepOnlyWhereThereIsNone) {
  EXPECT_THAT(explain_fetch(Error{Errc::not_found, "it is gone"}).next_step(),
              HasSubstr("push the image again"));
  EXPECT_EQ(explain_fetch(Error{Errc::not_found, "it is gone"}.hint("look")).next_step(), "look");
  EXPECT_EQ(explain_fetch(Error{Errc::tls, "no trust"}).next_step(), "");
}

}  // namespace
}  // namespace holdfast::deploy::image
