//! The ssh-agent protocol (draft-ietf-sshm-ssh-agent), as a client.
//!
//! An agent holds private keys and signs with them. This module asks it which keys it has and
//! for signatures; it never adds, removes or locks keys. [`AgentClient`] runs over any stream,
//! so that it parks where the stream parks and has the stream's deadline. The agent is not
//! trusted: its replies are bounded, and its comments are bytes.

pub use client::AgentClient;
pub use message::{AgentError, AgentKey, inner_signature, signature_flags};
pub use shared::Agent;

mod client;
mod message;
mod shared;
