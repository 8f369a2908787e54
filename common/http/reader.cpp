// The one file that sees Beast. Its parser needs nothing of Asio's runtime, so its few functions
// are compiled here, for the client as for the daemon.
#undef BOOST_ASIO_SEPARATE_COMPILATION
#undef BOOST_BEAST_SEPARATE_COMPILATION

#include "common/http/reader.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/status.hpp>
#include <type_traits>
#include <utility>

#include "common/http/text.hpp"

namespace holdfast::http {
namespace {

namespace beast = boost::beast::http;
using beast_text = boost::beast::string_view;
using boost::system::error_code;

std::string text_of(beast_text view) { return {view.data(), view.size()}; }

void take(Request& request, beast::field field, beast_text name, beast_text value) {
  if (field == beast::field::host) request.host = request.host ? "" : text_of(value);
  if (field == beast::field::authorization)
    request.authorization = request.authorization ? "" : text_of(value);
  // Beast knows no name for this one.
  if (boost::beast::iequals(name, "Last-Event-ID") && !request.last_event_id)
    request.last_event_id = text_of(value);
  if (field == beast::field::upgrade && request.upgrade.empty()) request.upgrade = text_of(value);
}

void take(Response& response, beast::field field, beast_text /*name*/, beast_text value) {
  if (field == beast::field::content_type && response.content_type.empty())
    response.content_type = text_of(value);
}

/// Keeps of a message what its struct has a place for.
template <class Message>
class Parser final : public beast::basic_parser<std::is_same_v<Message, Request>> {
 public:
  Message message;

 private:
  void on_request_impl(beast::verb /*verb*/, beast_text method, beast_text target, int version,
                       error_code& /*failed*/) override {
    if constexpr (std::is_same_v<Message, Request>) {
      constexpr int kVersion11 = 11;
      message.method = text_of(method);
      message.target = text_of(target);
      message.takes_chunks = version >= kVersion11;
    }
  }
  void on_response_impl(int status, beast_text /*reason*/, int /*version*/,
                        error_code& /*failed*/) override {
    if constexpr (std::is_same_v<Message, Response>) message.status = static_cast<unsigned>(status);
  }
  void on_field_impl(beast::field field, beast_text name, beast_text value,
                     error_code& /*failed*/) override {
    take(message, field, name, value);
  }
  void on_header_impl(error_code& /*failed*/) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/,
                         error_code& /*failed*/) override {}
  std::size_t on_body_impl(beast_text piece, error_code& /*failed*/) override {
    message.body.append(piece.data(), piece.size());
    return piece.size();
  }
  void on_chunk_header_impl(std::uint64_t /*size*/, beast_text /*extensions*/,
                            error_code& /*failed*/) override {}
  std::size_t on_chunk_body_impl(std::uint64_t /*left*/, beast_text piece,
                                 error_code& failed) override {
    return on_body_impl(piece, failed);
  }
  void on_finish_impl(error_code& /*failed*/) override {}
};

Fault fault_of(const error_code& failed) {
  if (failed == beast::error::body_limit) return Fault::body_too_large;
  if (failed == beast::error::header_limit) return Fault::head_too_large;
  return Fault::malformed;
}

}  // namespace

template <class Message>
struct Reader<Message>::State {
  Parser<Message> parser;
  std::string pending;  ///< read, not yet taken by the parser: at most the head
  Fault fault = Fault::none;
  error_code why;
};

template <class Message>
Reader<Message>::Reader(Limits limits) : state_(std::make_unique<State>()) {
  auto& parser = state_->parser;
  parser.eager(true);
  parser.header_limit(limits.head_bytes);
  parser.body_limit(limits.body_bytes ? boost::optional<std::uint64_t>{*limits.body_bytes}
                                      : boost::none);
}

template <class Message>
Reader<Message>::Reader(Reader&&) noexcept = default;
template <class Message>
Reader<Message>& Reader<Message>::operator=(Reader&&) noexcept = default;
template <class Message>
Reader<Message>::~Reader() = default;

template <class Message>
void Reader<Message>::feed(std::string_view bytes) {
  auto& [parser, pending, fault, why] = *state_;
  if (fault != Fault::none) return;
  pending.append(bytes);
  while (!pending.empty() && !parser.is_done()) {
    error_code failed;
    const auto used = parser.put(boost::asio::const_buffer(pending.data(), pending.size()), failed);
    pending.erase(0, used);
    if (failed == beast::error::need_more) return;
    if (failed) {
      why = failed;
      fault = fault_of(failed);
    }
    if (failed || used == 0) return;
  }
}

template <class Message>
void Reader<Message>::end() {
  auto& [parser, pending, fault, why] = *state_;
  if (fault != Fault::none || parser.is_done()) return;
  error_code failed;
  if (parser.got_some()) parser.put_eof(failed);
  if (failed || !parser.is_done()) fault = Fault::cut_off;
}

template <class Message>
bool Reader<Message>::head_done() const {
  return state_->parser.is_header_done();
}

template <class Message>
bool Reader<Message>::done() const {
  return state_->parser.is_done();
}

template <class Message>
Fault Reader<Message>::fault() const {
  return state_->fault;
}

template <class Message>
std::string Reader<Message>::fault_text() const {
  return state_->why.message();
}

template <class Message>
std::size_t Reader<Message>::left_over() const {
  return done() ? state_->pending.size() : 0;
}

template <class Message>
std::string Reader<Message>::take_left_over() {
  return done() ? std::exchange(state_->pending, {}) : std::string{};
}

template <class Message>
Message& Reader<Message>::message() {
  return state_->parser.message;
}

template <class Message>
const Message& Reader<Message>::message() const {
  return state_->parser.message;
}

template class Reader<Request>;
template class Reader<Response>;

std::string_view reason(unsigned status) {
  const auto text = beast::obsolete_reason(beast::int_to_status(status));
  return {text.data(), text.size()};
}

}  // namespace holdfast::http
