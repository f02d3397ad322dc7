//! HMAC-SHA256, which several methods sign with.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// HMAC-SHA256 of all these parts, one behind the other.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // A key of any length is one: a longer one is hashed (RFC 2104 section 3).
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("HMAC takes every key") };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
