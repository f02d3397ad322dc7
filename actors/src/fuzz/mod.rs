//! What must hold whatever comes: each function takes octets that a fuzzer made and panics where a rule is broken.
//! Only in builds with the feature `fuzzing`.

mod authenticate;
mod codec;
mod framing;
mod pattern;
mod realm;

pub use authenticate::authenticate;
pub use codec::codec;
pub use framing::{rawsocket, websocket};
pub use pattern::pattern;
pub use realm::realm;
