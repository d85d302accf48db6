//! A network of this test's own: a bridge in a namespace, machines on it, links that are cut and healed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use super::facts::say;
use super::ground::{Ground, done, ground};
use super::machine::Machine;

/// One lab at a time: figures would be those of a busy machine else.
static ONE: Mutex<()> = Mutex::new(());

/// A process that does nothing but keep namespaces, until its standard input ends. That it does however
/// this process ends, so nothing of a lab outlasts it.
#[derive(Debug)]
pub struct Holder {
    child: Child,
}

impl Holder {
    fn start(mut unshare: Command) -> Self {
        unshare.args(["--", "sh", "-c", "ip link set lo up && echo up && exec cat"]);
        unshare.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = unshare.spawn().expect("unshare started before");
        let stdout = child.stdout.as_mut().expect("a pipe");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says that it is up");
        assert_eq!(line, "up\n", "the namespaces are not there");
        Self { child }
    }

    /// Whose namespaces these are.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended already, and nothing follows from that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lab; it is gone when this is dropped, machines first.
#[derive(Debug)]
pub struct Lab {
    ground: Ground,
    switch: Holder,
    machines: u8,
    folder: TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Lab {
    /// An empty one; `None` where this machine has no ground for it, which was said then.
    pub fn open(test: &str) -> Option<Self> {
        let ground = ground(test)?;
        // A test that failed in its lab leaves no harm for the next.
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        say(&format!("chaos: {test}"));
        let switch = Holder::start(ground.unshare());
        let lab = Self {
            ground,
            switch,
            machines: 0,
            folder: TempDir::with_prefix("chaos-").expect("a folder"),
            _one: one,
        };
        lab.ip(&["link", "add", "bridge", "type", "bridge"]);
        lab.ip(&["link", "set", "bridge", "up"]);
        Some(lab)
    }

    fn ip(&self, arguments: &[&str]) {
        let mut command = self.ground.enter(self.switch.process());
        command.arg("ip").args(arguments);
        done(command);
    }

    /// How namespaces are made here.
    pub fn ground(&self) -> Ground {
        self.ground
    }

    /// Where files of this lab are.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A machine on the bridge, with nothing on it.
    pub fn machine(&mut self, name: &str) -> Machine {
        self.machines += 1;
        let number = self.machines;
        // Inside the lab's user namespace, where there is one: its root may shape this network then.
        let mut unshare = self.ground.enter(self.switch.process());
        unshare.args(["unshare", "--net", "--mount"]);
        let holder = Holder::start(unshare);
        let (port, process) = (format!("port{number}"), holder.process().to_string());
        self.ip(&[
            "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &process,
        ]);
        self.ip(&["link", "set", &port, "master", "bridge", "up"]);
        Machine::new(self.ground, holder, number, name, self.folder.path())
    }

    /// Nothing passes between two machines any more, in either direction; nobody is told.
    pub fn cut(&self, a: &Machine, b: &Machine) {
        a.deaf_to(b);
        b.deaf_to(a);
    }

    /// Nothing passes between two sides.
    pub fn part(&self, one: &[&Machine], other: &[&Machine]) {
        for a in one {
            for b in other {
                self.cut(a, b);
            }
        }
    }

    /// All links of these are whole again.
    pub fn heal(&self, machines: &[&Machine]) {
        for machine in machines {
            machine.hear_all();
        }
    }
}
