//! Tests of the whole: a started router on a free port, and clients that connect to it.

mod support;

mod readme;
mod real_clients;
mod tidy;
