#include "deploy/image/archive/export.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <set>
#include <variant>

#include "common/base/text.hpp"
#include "common/crypto/sha256.hpp"
#include "common/os/file.hpp"
#include "deploy/fetch/endpoints.hpp"
#include "deploy/fetch/fetcher.hpp"
#include "deploy/image/pull/documents.hpp"
#include "deploy/image/pull/object_requests.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::deploy::image {
namespace {

namespace bj = boost::json;

constexpr int kPollMs = 200;
constexpr std::size_t kBlock = 512;

/// A ustar header (POSIX pax(1), ustar Interchange Format). Sizes over 8 GiB in GNU's base 256.
std::string header(const std::string& name, std::uint64_t size, char type) {
  constexpr std::uint64_t kMostOctal = (1ULL << 33) - 1;
  std::string block(kBlock, '\0');
  const auto put = [&](std::size_t at, std::string_view text) {
    block.replace(at, text.size(), text);
  };
  put(0, name);
  put(100, type == '5' ? "0000755" : "0000644");
  put(108, "0000000");
  put(116, "0000000");
  if (size <= kMostOctal) {
    put(124, fmt::format("{:011o}", size));
  } else {
    for (std::size_t i = 0; i < 12; ++i)
      block[124 + i] = static_cast<char>(i < 4 ? 0 : (size >> (8 * (11 - i))) & 0xFFU);
    block[124] = static_cast<char>(0x80);
  }
  put(136, "00000000000");  // the same image gives the same archive
  put(148, "        ");
  block[156] = type;
  put(257, std::string_view{"ustar\00000", 8});
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put(148, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  return block;
}

class Exporter {
 public:
  Exporter(Store& store, const ImageRecord& record, int file, const ProgressSink& progress,
           const std::stop_token& stop)
      : store_(store),
        record_(record),
        file_(file),
        progress_(progress),
        stop_(stop),
        lease_(store.leases) {}

  Result<std::uint64_t> run() {
    lease_.hold("image:" + record_.pinned.hex());
    HF_ASSIGN(const auto manifest_text, read_blob(store_.paths, record_.manifest));
    HF_ASSIGN(const auto parsed, proto::oci::parse_manifest(manifest_text, "", ""));
    const auto* manifest = std::get_if<proto::oci::Manifest>(&parsed);
    if (manifest == nullptr) return Error{Errc::layer_corrupt, "stored blob is not a manifest"};
    HF_TRY(text("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
    HF_ASSIGN(const auto index, layout(manifest_text));
    HF_TRY(text("index.json", index));
    HF_TRY(write(header("blobs/", 0, '5')));
    HF_TRY(write(header("blobs/sha256/", 0, '5')));
    std::set<proto::Digest> done;
    for (const auto& digest : {record_.pinned, record_.manifest, record_.config}) {
      if (!done.insert(digest).second) continue;
      HF_ASSIGN(const auto bytes, read_blob(store_.paths, digest));
      HF_TRY(text("blobs/sha256/" + digest.hex(), bytes));
    }
    for (const auto& layer : manifest->layers) {
      if (!done.insert(layer.blob.digest).second) continue;
      if (auto written = this->layer(layer.blob); !written)
        return std::move(written).error().in("layer " + layer.blob.digest.short_hex());
    }
    HF_TRY(write(std::string(2 * kBlock, '\0')));
    if (::fsync(file_) != 0) return errno_error(errno, "write the archive");
    return written_;
  }

 private:
  /// index.json: the pinned document under its name, for tools that look for one.
  Result<std::string> layout(const std::string& manifest_text) const {
    HF_ASSIGN(const auto pinned, read_blob(store_.paths, record_.pinned));
    HF_ASSIGN(const auto parsed, proto::oci::parse_manifest(pinned, "", ""));
    const bool is_index = std::holds_alternative<proto::oci::Index>(parsed);
    boost::system::error_code failed;
    const auto tree = bj::parse(is_index ? pinned : manifest_text, failed);
    const auto* own =
        !failed && tree.is_object() ? tree.get_object().if_contains("mediaType") : nullptr;
    const std::string type = own != nullptr && own->is_string() ? std::string{own->get_string()}
                             : is_index ? "application/vnd.oci.image.index.v1+json"
                                        : "application/vnd.oci.image.manifest.v1+json";
    bj::object entry{
        {"mediaType", type}, {"digest", record_.pinned.str()}, {"size", pinned.size()}};
    if (!record_.reference.empty()) {
      const auto name = record_.reference.substr(0, record_.reference.find('@'));
      entry["annotations"] = bj::object{{"org.opencontainers.image.ref.name", name},
                                        {"io.containerd.image.name", name}};
    }
    return bj::serialize(bj::object{{"schemaVersion", 2},
                                    {"mediaType", "application/vnd.oci.image.index.v1+json"},
                                    {"manifests", bj::array{std::move(entry)}}});
  }

  Status write(std::string_view bytes) {
    HF_TRY(os::write_all(file_, bytes));
    written_ += bytes.size();
    return ok();
  }
  Status pad(std::uint64_t size) {
    const auto rest = static_cast<std::size_t>(size % kBlock);
    return rest == 0 ? ok() : write(std::string(kBlock - rest, '\0'));
  }
  Status text(const std::string& name, std::string_view bytes) {
    HF_TRY(write(header(name, bytes.size(), '0')));
    HF_TRY(write(bytes));
    return pad(bytes.size());
  }

  Status layer(const proto::oci::Descriptor& blob) {
    HF_TRY(write(header("blobs/sha256/" + blob.digest.hex(), blob.size, '0')));
    tell(blob, 0);
    const auto kept = os::open_file(store_.paths.blob(blob.digest), O_RDONLY);
    if (kept) {
      auto copied = copy(kept->get(), blob);
      if (!copied && copied.error().code() != Errc::cancelled)
        (void)os::remove_tree(store_.paths.blob(blob.digest));  // damaged: not tried again
      if (!copied) return std::move(copied).error().hint("export again: it is then fetched again");
    } else {
      HF_TRY(fetch(blob));
    }
    tell(blob, blob.size);
    return pad(blob.size);
  }

  /// Copies a body of exactly this size and digest.
  Status copy(int from, const proto::oci::Descriptor& blob) {
    crypto::Sha256 hash;
    std::vector<char> piece(256U << 10);
    std::uint64_t bytes = 0;
    for (;;) {
      if (stop_.stop_requested()) return Error{Errc::cancelled, "export"};
      pollfd wait{from, POLLIN, 0};
      if (::poll(&wait, 1, kPollMs) < 0 && errno != EINTR) return errno_error(errno, "poll");
      if (wait.revents == 0) continue;
      const ssize_t got = ::read(from, piece.data(), piece.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno_error(errno, "read");
      if (got == 0) break;
      const std::string_view part{piece.data(), static_cast<std::size_t>(got)};
      bytes += part.size();
      if (bytes > blob.size) break;
      hash.update(part);
      HF_TRY(write(part));
      tell(blob, bytes);
    }
    const auto sum = hash.finish_hex();
    if (bytes == blob.size && sum == blob.digest.hex()) return ok();
    return Error{bytes == blob.size ? Errc::digest_mismatch : Errc::size_mismatch,
                 fmt::format("{} bytes with the digest sha256:{} came in place of {} with {}",
                             bytes, sum, blob.size, blob.digest.str())};
  }

  Status fetch(const proto::oci::Descriptor& blob) {
    const auto ref = proto::ImageRef::parse(record_.reference);
    if (!ref)
      return Error{Errc::not_found,
                   "its compressed bytes are not kept here, and no registry is known for it"}
          .hint("keep the archive it came from, or pull the image by a reference first");
    if (!fetcher_) {
      HF_ASSIGN(auto endpoints,
                fetch::endpoints_for(store_.registries, store_.proxy, store_.host_files, *ref));
      fetcher_.emplace(fetch::network_child(store_.worker_path, store_.bandwidth.get()));
      HF_TRY(fetcher_->configure(
          {.endpoints = std::move(endpoints), .bytes_per_second = store_.bytes_per_second}));
    }
    HF_ASSIGN(auto body, os::make_pipe());
    const auto request =
        ObjectRequests::at_registry(*ref).object(ObjectKind::blob, blob.digest, blob.size);
    HF_ASSIGN(auto download, fetcher_->stream(request, std::move(body.second)));
    auto copied = copy(body.first.get(), blob);
    if (copied) return ok();
    // Why too little came is what the child has to say.
    while (!stop_.stop_requested() && copied.error().code() == Errc::size_mismatch) {
      pollfd wait{download.fd(), POLLIN, 0};
      if (::poll(&wait, 1, kPollMs) < 0 && errno != EINTR) break;
      const auto said = wait.revents != 0 ? download.advance() : std::nullopt;
      if (said && !*said)
        return explain_fetch(said->error())
            .hint("export while the registry can be reached: compressed layers are not kept here");
      if (said) break;
    }
    return copied;
  }

  void tell(const proto::oci::Descriptor& blob, std::uint64_t bytes) {
    const BootTime now = store_.clock.boot();
    const bool edge = bytes == 0 || bytes == blob.size;
    if (!progress_ || (!edge && now - told_ < Milliseconds{100})) return;
    told_ = now;
    progress_({.image = record_.reference.empty() ? record_.pinned.str() : record_.reference,
               .layer = blob.digest.short_hex(),
               .phase = PullPhase::exporting,
               .bytes = bytes,
               .total = blob.size});
  }

  Store& store_;
  const ImageRecord& record_;
  int file_;
  const ProgressSink& progress_;
  const std::stop_token& stop_;
  Leases::Lease lease_;
  std::optional<fetch::Fetcher> fetcher_;
  std::uint64_t written_ = 0;
  BootTime told_{};
};

}  // namespace

Result<std::uint64_t> export_image(Store& store, const ImageRecord& record,
                                   const os::UniqueFd& file, const ProgressSink& progress,
                                   const std::stop_token& stop) {
  return Exporter{store, record, file.get(), progress, stop}.run();
}

}  // namespace holdfast::deploy::image
