// The image store at every durable step of a pull, a collection, a lease: killed, an error of the
// disk, a full disk, and the same in the child that unpacks (packaging/doc/security.md 7, F-02 to
// F-05, F-12, F-29, F-31, F-37).
#include <gmock/gmock.h>

#include "tests/component/deploy/image/lab.hpp"
#include "tests/component/faults/sweep.hpp"

namespace holdfast::test {
namespace {

using faults::Life;
using faults::Told;

/// An image that shares nothing with the one that is pulled.
constexpr const char* kKept = "through-symlink";

class ImageFaults : public LabTest {
 protected:
  void SetUp() override {
    proto::RegistryConfig plain;
    plain.plain_http = true;
    registries_ = {{lab().host(), plain}};
  }
  void open() { store_.reopen(registries_); }

  /// Back to nothing, or to one image, without waiting for a disk.
  void begin_with(const std::vector<const char*>& images) {
    store_.images.reset();
    for (const auto& entry : std::filesystem::directory_iterator{store_.dir.path()})
      std::filesystem::remove_all(entry.path());
    if (images.empty()) return;
    open();
    for (const char* name : images) ASSERT_TRUE(store_.pull(lab().ref(name)));
    store_.images.reset();
  }

  /// Nothing in the store is other than its name says, and what was acknowledged is there.
  void expect_true_store(const Life& life, const std::vector<const char*>& kept) {
    open();
    // A child of the life before may still be ending: it holds the lock of the work in progress.
    for (int i = 0; i < 100 && store_.count("ingest") > 0; ++i) {
      usleep(10'000);
      open();
    }
    EXPECT_EQ(store_.count("ingest"), 0U);
    for (const auto& blob :
         std::filesystem::directory_iterator{store_.dir.path() / "blobs/sha256"}) {
      const auto name = blob.path().filename().string();
      if (name.find('.') != std::string::npos) continue;  // of a writer that was killed
      const auto bytes = os::read_file(blob.path());
      ASSERT_TRUE(bytes);
      EXPECT_EQ(proto::Digest::of(*bytes).hex(), name);
    }
    const auto sum = store_.images->verify({}, {}, {}, {});
    ASSERT_TRUE(sum) << sum.error().to_string();
    EXPECT_THAT(sum->damaged, testing::IsEmpty());
    for (const char* name : kept)
      EXPECT_TRUE(store_.images->find(lab().ref(name).digest)) << name << " is gone";
    EXPECT_TRUE(life.acknowledged == 0 || store_.images->find(lab().ref("gzip").digest));
  }
  void expect_pulled() {
    const auto again = store_.pull(lab().ref("gzip"));
    EXPECT_TRUE(again) << again.error().to_string();
  }

  /// In the child: a pull, and what is wrong with its refusal.
  int pull(Told& told, std::initializer_list<Errc> expected, bool heals) {
    faults::disarm();
    open();
    faults::arm();
    auto pulled = store_.pull(lab().ref("gzip"));
    if (!pulled) {
      const auto& error = pulled.error();
      if (std::find(expected.begin(), expected.end(), error.code()) == expected.end())
        told.say(error.to_string());
      if (!heals) return 1;
      faults::disarm();
      pulled = store_.pull(lab().ref("gzip"));
      if (!pulled) told.say("healed, and still: " + pulled.error().to_string());
    }
    if (pulled) told.acknowledged = 1;
    return pulled ? 0 : 1;
  }
  void sweep_pull(const std::string& rule, int step, const std::function<int(Told&)>& work) {
    run({.rule = rule,
         .below = store_.dir.path(),
         .least = 3,
         .step = step,
         .begin = [this] { begin_with({kKept}); },
         .work = work,
         .expect =
             [this](const Life& life) {
               EXPECT_EQ(life.words, "");
               expect_true_store(life, {kKept});
               expect_pulled();
             }});
  }

  std::map<std::string, proto::RegistryConfig> registries_;
  TestStore store_{lab()};
};

TEST_F(ImageFaults, KilledBeforeOrAfterAnyDurableStepOfAPullNothingUntrueIsLeft) {
  const auto work = [this](Told& told) { return pull(told, {}, false); };
  sweep_pull("any:{}=kill-before", 17, work);
  sweep_pull("any:{}=kill-after", 29, work);
}

TEST_F(ImageFaults, AnErrorOfTheDiskFailsThePullAndNothingTornIsKept) {
  sweep_pull("any:{}=EIO", 17, [this](Told& told) { return pull(told, {Errc::io}, false); });
}

TEST_F(ImageFaults, AFullDiskFailsThePullWithItsNameAndSpaceHealsIt) {
  const auto work = [this](Told& told) { return pull(told, {Errc::nospace}, true); };
  for (const char* rule : {"write:{}+=ENOSPC", "create:{}+=ENOSPC", "mkdir:{}+=ENOSPC"})
    sweep_pull(rule, 6, work);
}

/// The rule is about the child that unpacks.
std::string of_the_child(const std::string& rule) {
  return "children=holdfast-worker;preload=" HOLDFAST_FAULTS_LIBRARY ";" + rule;
}

TEST_F(ImageFaults, AnUnpackingChildThatIsKilledFailsThePullAndTheNextOneWorks) {
  sweep_pull(of_the_child("any@holdfast-worker:{}=kill-before"), 19,
             [this](Told& told) { return pull(told, {Errc::io}, true); });
}

TEST_F(ImageFaults, WhatTheDiskRefusesToTheUnpackingChildHasItsName) {
  sweep_pull(of_the_child("any@holdfast-worker:{}=EIO"), 19,
             [this](Told& told) { return pull(told, {Errc::io}, true); });
  sweep_pull(of_the_child("any@holdfast-worker:{}+=ENOSPC"), 19,
             [this](Told& told) { return pull(told, {Errc::nospace}, true); });
}

TEST_F(ImageFaults, KilledInTheMiddleOfACollectionNothingThatIsNeededIsMissing) {
  run({.rule = "any:{}=kill-before",
       .below = store_.dir.path(),
       .least = 20,
       .step = 12,
       .begin =
           [this] {
             begin_with({kKept, "gzip"});
           },
       .work =
           [this](Told& told) {
             faults::disarm();
             open();
             store_.images->retain({{lab().ref(kKept).digest, {"current"}}});
             faults::arm();
             const auto done = store_.images->collect({}, {});
             if (!done) told.say(done.error().to_string());
             return done ? 0 : 1;
           },
       .expect =
           [this](const Life& life) {
             EXPECT_TRUE(life.killed);
             expect_true_store(life, {kKept});
             store_.images->retain({{lab().ref(kKept).digest, {"current"}}});
             EXPECT_TRUE(store_.images->collect({}, {}));
             EXPECT_TRUE(store_.images->find(lab().ref(kKept).digest));
             expect_pulled();
           }});
}

TEST_F(ImageFaults, ALeaseIsThereOrNotThereWheneverItsWritingEnds) {
  const auto digest = lab().ref(kKept).digest;
  for (const char* rule : {"any:{}=kill-before", "any:{}=EIO", "any:{}=ENOSPC"}) {
    run({.rule = rule,
         .below = store_.dir.path() / "leases",
         .least = 3,
         .begin = [this] { begin_with({kKept}); },
         .work =
             [&](Told& told) {
               faults::disarm();
               open();
               faults::arm();
               const auto until = store_.clock.wall() + std::chrono::hours{1};
               const auto done = store_.images->lease(digest, until, "test");
               told.acknowledged = done ? 1 : 0;
               return done ? 0 : 1;
             },
         .expect =
             [&](const Life& life) {
               open();
               const auto all = store_.images->inventory();
               ASSERT_TRUE(all) << all.error().to_string();
               if (life.acknowledged == 0) return;
               ASSERT_EQ(all->size(), 1U);
               EXPECT_TRUE(all->front().leased_until);
             }});
  }
}

}  // namespace
}  // namespace holdfast::test
