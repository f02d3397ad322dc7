//! Tests of the whole, in one binary: a started router on a free port, and clients that connect to it.

mod admin;
mod authentication;
mod churn;
mod codec_vectors;
mod config;
mod crossing;
mod deployment;
mod features;
mod grafana;
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
mod secrets;
mod subscribing;
mod support;
mod tidy;
mod transcripts;
mod upgrade;
