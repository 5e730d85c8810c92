//! The log of the engines: one line of text for each change of state and each word, at the level "debug".
//!
//! Lines go through the crate `log`: nothing is formatted while no logger wants them. The target is the layer, which
//! is also the name of the logger in Python. A line begins with a mark: `>` sent, `<` received, `=` a state, `!`
//! trouble, `x` an end. No line has a password, a key or the content of a message, and no line is written for each
//! packet or message.

pub const ICE: &str = "adieu.ice";
pub const DTLS: &str = "adieu.dtls";
pub const SCTP: &str = "adieu.sctp";
/// Lines of the connection as a whole.
pub const CONNECTION: &str = "adieu.webrtc";

/// Every target that is handed up. Lines of other crates are not: those of the crates below hold passwords, packets
/// and queues of messages.
pub const LAYERS: [&str; 4] = [ICE, DTLS, SCTP, CONNECTION];

/// A server's own words in an error; the rest is cut off.
const MAX_REASON: usize = 200;

/// Clean what a server says of an error: it is shown and logged, and may not drive a terminal or forge a line.
pub(crate) fn reason(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect()
}
