// What every store of images promises the engine (deploy/image/port/images.hpp): the real one,
// which pulls from a registry, and the fake one of the engine's tests.
#include "deploy/image/port/images.hpp"

#include <gmock/gmock.h>

#include "tests/component/deploy/image/lab.hpp"
#include "tests/support/fake_ports.hpp"

namespace holdfast::deploy::image {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

/// A store on disk, and a registry with two images, one for all cases.
class Real {
 public:
  static void set_up() { lab_ = std::make_unique<test::Lab>(); }
  static void tear_down() { lab_.reset(); }

  [[nodiscard]] Images& images() { return *store_.images; }
  [[nodiscard]] proto::ImageRef first() const { return lab_->ref("gzip"); }
  [[nodiscard]] proto::ImageRef second() const { return lab_->ref("plain"); }
  [[nodiscard]] proto::ImageRef absent() const {
    return lab_->ref_of("sha256:" + std::string(64, '0'));
  }

 private:
  inline static std::unique_ptr<test::Lab> lab_;
  test::TestStore store_{*lab_};
};

class Fake {
 public:
  static void set_up() {}
  static void tear_down() {}

  Fake() {
    host_.pull_errors.emplace(absent().digest, Error{Errc::not_found, "it does not exist there"});
  }
  [[nodiscard]] Images& images() { return images_; }
  [[nodiscard]] static proto::ImageRef first() { return ref('a'); }
  [[nodiscard]] static proto::ImageRef second() { return ref('b'); }
  [[nodiscard]] static proto::ImageRef absent() { return ref('0'); }

 private:
  static proto::ImageRef ref(char digit) {
    return proto::ImageRef::parse("r.io/a@sha256:" + std::string(64, digit)).value();
  }
  test::FakeHost host_;
  test::FakeImages images_{host_};
};

template <class Kind>
class ImagesContract : public testing::Test {
 protected:
  static void SetUpTestSuite() { Kind::set_up(); }
  static void TearDownTestSuite() { Kind::tear_down(); }
  ImagesContract() { images().retain({}); }
  Images& images() { return kind_.images(); }
  Result<Pulled> ensure(const proto::ImageRef& ref, const std::stop_token& stop = {}) {
    return images().ensure({ref, {}}, {}, stop);
  }
  void have(const proto::ImageRef& ref) {
    const auto pulled = ensure(ref);
    ASSERT_TRUE(pulled) << pulled.error().to_string();
  }
  std::set<proto::Digest> listed() { return images().list().value(); }
  Kind kind_;
};

using Kinds = testing::Types<Real, Fake>;
TYPED_TEST_SUITE(ImagesContract, Kinds);

TYPED_TEST(ImagesContract, HasNothingAtFirst) {
  EXPECT_THAT(this->listed(), IsEmpty());
  EXPECT_EQ(this->images().find(this->kind_.first().digest).error().code(), Errc::not_found);
  EXPECT_EQ(this->images().look(this->kind_.first().digest).error().code(), Errc::not_found);
}

TYPED_TEST(ImagesContract, FindsAndListsWhatItEnsured) {
  const auto ref = this->kind_.first();
  const auto pulled = this->ensure(ref);
  ASSERT_TRUE(pulled) << pulled.error().to_string();
  EXPECT_EQ(pulled->image.pinned, ref.digest);
  const auto found = this->images().find(ref.digest);
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(found->pinned, ref.digest);
  EXPECT_EQ(found->manifest, pulled->image.manifest);
  const auto held = this->images().look(ref.digest);
  ASSERT_TRUE(held) << held.error().to_string();
  EXPECT_EQ(held->manifest, found->manifest);
  EXPECT_EQ(held->compressed_size, found->compressed_size);
  EXPECT_THAT(this->listed(), ElementsAre(ref.digest));
}

TYPED_TEST(ImagesContract, EnsuresAgainWithoutFetching) {
  this->have(this->kind_.first());
  const auto again = this->ensure(this->kind_.first());
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->stats.bytes_fetched, 0U);
  EXPECT_EQ(again->stats.layers_fetched, 0U);
}

TYPED_TEST(ImagesContract, ListsNothingOfAPullThatFailed) {
  EXPECT_EQ(this->ensure(this->kind_.absent()).error().code(), Errc::not_found);
  EXPECT_THAT(this->listed(), IsEmpty());
}

TYPED_TEST(ImagesContract, ListsNothingOfAPullThatWasStopped) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(this->ensure(this->kind_.first(), stop.get_token()).error().code(), Errc::cancelled);
  EXPECT_THAT(this->listed(), IsEmpty());
  this->have(this->kind_.first());
}

TYPED_TEST(ImagesContract, CollectsWhatNobodyNeeds) {
  const auto first = this->kind_.first();
  const auto second = this->kind_.second();
  this->have(first);
  this->have(second);
  ASSERT_TRUE(this->images().collect({first.digest, second.digest}, {}));
  EXPECT_THAT(this->listed(), UnorderedElementsAre(first.digest, second.digest));
  ASSERT_TRUE(this->images().collect({first.digest}, {}));
  EXPECT_THAT(this->listed(), ElementsAre(first.digest));
  EXPECT_EQ(this->images().find(second.digest).error().code(), Errc::not_found);
  EXPECT_EQ(this->images().look(second.digest).error().code(), Errc::not_found);
}

TYPED_TEST(ImagesContract, CollectsNothingThatIsRetained) {
  const auto first = this->kind_.first();
  const auto second = this->kind_.second();
  this->have(first);
  this->have(second);
  this->images().retain({{first.digest, {"current"}}, {this->kind_.absent().digest, {"next"}}});
  ASSERT_TRUE(this->images().collect({}, {}));
  EXPECT_THAT(this->listed(), ElementsAre(first.digest));
  this->images().retain({{second.digest, {"current"}}});  // all that is needed, not more of it
  ASSERT_TRUE(this->images().collect({}, {}));
  EXPECT_THAT(this->listed(), IsEmpty());
}

TYPED_TEST(ImagesContract, BringsBackWhatWasCollected) {
  this->have(this->kind_.first());
  ASSERT_TRUE(this->images().collect({}, {}));
  this->have(this->kind_.first());
  EXPECT_THAT(this->listed(), ElementsAre(this->kind_.first().digest));
}

}  // namespace
}  // namespace holdfast::deploy::image
