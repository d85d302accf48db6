//! A stranger that opens connections as fast as it can, and again once they are closed.

use std::process::{Child, Stdio};

use super::machine::Machine;

/// How many it tries to hold at once.
pub const CONNECTIONS: u32 = 1000;

/// The crowd, which goes with this.
#[derive(Debug)]
pub struct Crowd(Child);

impl Crowd {
    /// From one machine, at the port of another's node.
    pub fn of(stranger: &Machine, address: &str) -> Self {
        let script = format!(
            "ulimit -n 4096; while :; do for i in $(seq {CONNECTIONS}); do \
             exec {{f}}<>/dev/tcp/{address}/4700 || break; done 2>/dev/null; \
             for f in $(seq 10 $((f))); do eval \"exec $f>&-\"; done 2>/dev/null; \
             read -t 0.2 && break; done"
        );
        let mut command = stranger.on(&["bash", "-c", &script]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().expect("nsenter started before"))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // In the middle of opening connections, which it need not finish; it may have ended too.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
