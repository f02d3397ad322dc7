//! Tests of the whole, in one binary: a started router on a free port, and clients that connect to it.

mod addresses;
mod admin;
mod authentication;
mod balancers;
mod churn;
mod codec_vectors;
mod config;
mod crossing;
mod lifecycle;
mod limits;
mod listeners;
mod metrics;
mod namespace;
mod official_vectors;
mod permissions;
mod program;
mod readme;
mod real_clients;
mod robustness;
mod shutdown;
mod support;
mod tidy;
mod tls;
mod transcripts;
mod upgrade;
