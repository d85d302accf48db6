//! Random histories: forks, backups, orders, testimony, rotations, lapses and clocks that step.

use regatta_protocol::catalog::RevisionId;
use regatta_protocol::codec;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerKind};
use regatta_protocol::limits::DAY_MS;
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::enrolment::change::{Forget, Relabel};
use regatta_protocol::trust::invite::{InviteTerms, SignedInvite};
use regatta_protocol::trust::statement::Statement;
use regatta_protocol::trust::verdict::{Ruling, Subject, VerdictId};

use crate::enrolling::{enrolment, terms_for};
use crate::fixture::{
    Fixture, Hand, cheap, day, device, every_grant, good, name, revision, stopped, verdict,
};
use crate::harbour::device_certificate;

const OSAKA: [(&str, &str); 1] = [("site", "osaka")];

/// What some fleet wrote.
#[derive(Debug)]
pub struct History {
    pub fixture: Fixture,
    pub entries: Vec<Entry>,
}

struct Script {
    fixture: Fixture,
    prng: Prng,
    now: Millis,
    hands: Vec<Hand>,
    entries: Vec<Entry>,
    statements: Vec<Statement>,
    revisions: Vec<RevisionId>,
    verdicts: Vec<VerdictId>,
}

/// A history from its seed: four managers, of whom one lapses early, and `steps` things that happen.
pub fn history(seed: u64, steps: u64) -> History {
    let fixture = Fixture::new();
    let mut script = Script {
        prng: Prng::from_number(seed),
        now: day(1),
        hands: Vec::new(),
        entries: Vec::new(),
        statements: Vec::new(),
        revisions: Vec::new(),
        verdicts: Vec::new(),
        fixture,
    };
    for (number, last) in [(1, 365), (2, 365), (3, 12), (4, 25)] {
        let (hand, statement) = script.fixture.manager(number, (0, last));
        script.hands.push(hand);
        script.statements.push(statement.clone());
        let carrier = usize::from(number == 4);
        let entry = script.hands[carrier].carry(&statement, day(0));
        script.entries.push(entry);
    }
    for _ in 0..steps {
        script.step();
    }
    History {
        fixture: script.fixture,
        entries: script.entries,
    }
}

impl Script {
    fn step(&mut self) {
        self.now = self.now.plus(self.prng.below(2 * DAY_MS));
        let at = self.stamp();
        let who = self.pick_hand();
        match self.prng.below(17) {
            0..=2 => self.revise(who, at),
            3..=5 => self.testify(who, at),
            6 | 7 => self.order(who, at),
            8 | 9 => self.root_order(who, at),
            10 => {
                // A thief, or a clone: it writes on where the victim stands.
                let thief = self.hands[who].clone();
                self.hands.push(thief);
            }
            11 => {
                let mut backup = self.hands[who].clone();
                backup.restart(self.prng.next_u64());
                self.hands.push(backup);
            }
            12 => {
                let salt = self.prng.next_u64();
                self.hands[who].restart(salt);
            }
            13 => self.rotate(who, at),
            14 => self.enrol(who, at),
            15 => self.change(who, at),
            _ => {
                // Lost its disk: it begins at number one again.
                self.hands[who].heads.clear();
            }
        }
    }

    /// Now, unless the clock steps.
    fn stamp(&mut self) -> Millis {
        match self.prng.below(8) {
            0 => Millis(self.now.0 - self.prng.below(self.now.since(day(0)))),
            1 => self.now.plus(self.prng.below(30 * DAY_MS)),
            _ => self.now,
        }
    }

    fn pick_hand(&mut self) -> usize {
        self.prng.below(self.hands.len() as u64) as usize
    }

    fn some<T: Copy>(&mut self, of: &[T]) -> Vec<T> {
        let picked = of.iter().filter(|_| self.prng.chance(300_000));
        picked.copied().take(16).collect()
    }

    fn revise(&mut self, who: usize, at: Millis) {
        let of = self.revisions.clone();
        let replaces = self.some(&of);
        let document = ["hull", "sails"][self.prng.below(2) as usize];
        let entry = self.hands[who].revise(document, &replaces, at);
        self.revisions.push(revision(&entry));
        self.entries.push(entry);
    }

    fn testify(&mut self, who: usize, at: Millis) {
        let other = self.pick_hand();
        let kinds = [LedgerKind::Trust, LedgerKind::Fleet];
        let other = &self.hands[other];
        let mut verdict = good(other.subject(), other.seen(&kinds));
        if self.prng.chance(300_000) {
            verdict.until = Some(at.plus(self.prng.below(120 * DAY_MS)));
        }
        let entry = self.hands[who].judge(verdict, at);
        self.entries.push(entry);
    }

    fn order(&mut self, who: usize, at: Millis) {
        let subject = match self.prng.below(4) {
            0 => Subject::Invite(self.invite(1, None).id()),
            1 => self.hands[0].subject(),
            number => device(if number == 2 { 52 } else { 91 }),
        };
        let of = self.verdicts.clone();
        let mut order = stopped(subject, Vec::new());
        if self.prng.chance(400_000) {
            order.ruling = Ruling::Good;
        }
        order.replaces = self.some(&of);
        let entry = self.hands[who].judge(order, at);
        self.verdicts.push(verdict(&entry));
        self.entries.push(entry);
    }

    fn root_order(&mut self, who: usize, at: Millis) {
        let on = self.pick_hand();
        let seen = self.hands[on].seen(&[LedgerKind::Trust, LedgerKind::Fleet]);
        let subject = match self.prng.below(4) {
            0 => device(52),
            _ => self.hands[on].subject(),
        };
        let of = self.verdicts.clone();
        let mut order = stopped(subject, seen);
        if self.prng.chance(400_000) {
            order.ruling = Ruling::Good;
        }
        order.replaces = self.some(&of);
        let statement = self.fixture.order(&order);
        if let Statement::Order(order) = &statement {
            self.verdicts.push(order.id());
        }
        let entry = self.hands[who].carry(&statement, at);
        self.statements.push(statement);
        self.entries.push(entry);
    }

    /// The root rotates, keeps some of what it said, and certifies one manager anew.
    fn rotate(&mut self, who: usize, at: Millis) {
        let statements = self.statements.clone();
        let kept: Vec<&Statement> = statements
            .iter()
            .filter(|_| self.prng.chance(800_000))
            .collect();
        let after = vec![cheap(201 + self.fixture.root.number as u8)];
        let rotation = self.fixture.rotate(after, &kept);
        let entry = self.hands[who].carry(&rotation, at);
        self.entries.push(entry);
        let number = 1 + self.prng.below(4) as u8;
        let key = cheap(number + 10 * self.prng.below(2) as u8);
        let (mut hand, statement) = self
            .fixture
            .manager_with(number, key, (0, 365), every_grant());
        if let Some(old) = self.hands.iter().find(|old| old.node == hand.node) {
            hand.heads = old.heads.clone();
        }
        hand.restart(self.prng.next_u64());
        let carrier = self.pick_hand();
        let entry = self.hands[carrier].carry(&statement, at);
        self.entries.push(entry);
        self.statements.push(statement);
        self.hands.push(hand);
    }

    /// An invite for one, used by three devices, of which one may come in another's place.
    fn enrol(&mut self, who: usize, at: Millis) {
        let number = 90 + self.prng.below(3) as u8;
        let certificate = device_certificate(number, &self.hands[who], &OSAKA);
        let replaced = 90 + self.prng.below(12) as u8;
        let replaces = (replaced < 93).then_some(NodeId([replaced; 16]));
        let uses = 1 + self.prng.below(2) as u32;
        let invite = self.invite(uses, replaces);
        let mut enrolment = enrolment(&self.fixture.fleet, &invite, &certificate);
        if self.prng.below(6) == 0 {
            // As one writes it who has nobody's request.
            enrolment.request = None;
        }
        let content = codec::encode(&enrolment);
        self.write_managers(who, EntryKind::ENROLMENT, content, at);
    }

    /// An invite of the first manager's.
    fn invite(&self, uses: u32, replaces: Option<NodeId>) -> SignedInvite {
        let by = &self.hands[0];
        let terms = InviteTerms {
            uses,
            ..terms_for(by, 60, &device_certificate(90, by, &OSAKA), replaces)
        };
        SignedInvite::sign(&terms, &[(0, by.key.as_ref())])
    }

    /// A device gets another label, loses one, or is forgotten.
    fn change(&mut self, who: usize, at: Millis) {
        let node = NodeId([90 + self.prng.below(3) as u8; 16]);
        if self.prng.below(4) == 0 {
            let content = codec::encode(&Forget { node });
            return self.write_managers(who, EntryKind::FORGET, content, at);
        }
        let site = name(["osaka", "kobe", "nara"][self.prng.below(3) as usize]);
        let remove = self.prng.chance(300_000).then(|| name("site"));
        let relabel = Relabel {
            node,
            set: vec![(name(["site", "dock"][self.prng.below(2) as usize]), site)],
            remove: remove.into_iter().collect(),
        };
        let content = codec::encode(&relabel);
        self.write_managers(who, EntryKind::RELABEL, content, at);
    }

    fn write_managers(&mut self, who: usize, kind: EntryKind, content: Vec<u8>, at: Millis) {
        let entry = self.hands[who].write(LedgerKind::Managers, kind, content, at);
        self.entries.push(entry);
    }
}
