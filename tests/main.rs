//! Tests of the router as a whole, in one binary.

mod codec_vectors;
mod official_vectors;
