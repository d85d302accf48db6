//! Who is there, who is whose home, and what is known of everybody's presence.

pub mod message;
