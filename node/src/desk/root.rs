//! What somebody needs who works with the root's key, and what he brings back.

use regatta_actors::acts::{self, look, look_around};
use regatta_actors::ledger::LedgerView;
use regatta_protocol::codec;
use regatta_protocol::ident::Hash;
use regatta_protocol::trust::certificate::Rank;
use regatta_protocol::trust::record::Record;
use regatta_protocol::trust::roll::Roll;
use regatta_protocol::trust::statement::{SignedOrder, Statement};
use regatta_protocol::trust::steward::counting_ledgers;
use regatta_protocol::trust::verdict::{Ruling, Subject, Verdict};

use super::names::{name_of, names};
use super::{Desk, note, problem, saved};
use crate::control::api::{
    FleetInfo, ManagerRequest, ManagerStop, Problem, Saved, StatementText, moment,
};
use crate::control::server::Caller;
use crate::text::{from_text, to_text};

/// Certificates and orders of the root that hold today.
fn keeps(record: &Record) -> Vec<String> {
    let managers = record.managers().keys().map(ToString::to_string);
    let orders = record.orders().keys().map(|order| order.0.to_string());
    managers.chain(orders).collect()
}

/// What stops each manager: all that it wrote until now counts.
fn stops(view: &LedgerView<'_>) -> Vec<ManagerStop> {
    let holdings = view.replica.holdings();
    let managers = holdings.record().managers().iter();
    let stops = managers.map(|(serial, manager)| {
        let (serial, node) = (*serial, manager.node);
        let verdict = Verdict {
            subject: Subject::Holder { serial, node },
            ruling: Ruling::Stopped,
            ledgers: counting_ledgers(holdings, &node),
            replaces: Vec::new(),
            until: None,
            reason: String::new(),
        };
        ManagerStop {
            name: manager.name.to_string(),
            id: node.to_string(),
            verdict: to_text(&verdict),
        }
    });
    stops.collect()
}

impl Desk {
    /// What `invite --manager` and `root sign` need to work with the root key.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn fleet(&self) -> Result<FleetInfo, Problem> {
        let handles = self.handles()?;
        let own = look_around(handles, |view| view.own.worth_telling());
        let addresses = own.await.map_err(problem)?;
        let info = look(handles, move |view| {
            let record = view.replica.holdings().record();
            let current = record.roots().current();
            let signed = record.roots().signed().last();
            let print = |bytes: &[u8]| Hash::of(bytes).to_string()[..32].to_owned();
            FleetInfo {
                name: current.name.to_string(),
                id: record.fleet().to_string(),
                root: signed.map(to_text).unwrap_or_default(),
                threshold: u32::from(current.keys.threshold),
                keys: current
                    .keys
                    .keys
                    .iter()
                    .map(|key| print(&key.0.0))
                    .collect(),
                addresses: addresses.iter().map(ToString::to_string).collect(),
                reference_ms: view.replica.reference(view.now).0,
                keeps: keeps(record),
                managers: stops(view),
            }
        });
        info.await.map_err(problem)
    }

    /// The nodes that wait until the root makes them managers.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn requests(&self) -> Result<Vec<ManagerRequest>, Problem> {
        let requests = look(self.handles()?, |view| {
            let devices = Roll::of(view.replica.holdings()).devices().into_iter();
            let waiting =
                devices.filter(|it| it.rank() == Rank::Manager && !it.certified && it.is_live());
            let request = waiting.map(|it| ManagerRequest {
                name: it.name().to_string(),
                id: it.node.to_string(),
                request: to_text(&it.certificate),
                asked: moment(it.enrolled_at.0),
            });
            request.collect()
        });
        requests.await.map_err(problem)
    }

    /// What an order of the root's does, once it is in force.
    async fn ordered(&self, order: &SignedOrder) -> Result<String, Problem> {
        let verdict = codec::decode::<Verdict>(&order.bytes);
        let verdict = verdict.map_err(|error| Problem::usage(error.to_string()))?;
        let done = match verdict.ruling {
            Ruling::Stopped => "stopped",
            Ruling::Good => "let go on",
        };
        let whom = match verdict.subject {
            Subject::Holder { node, .. } => {
                let name = look(self.handles()?, move |view| name_of(&names(view), &node));
                name.await.map_err(problem)?
            }
            Subject::Invite(invite) => format!("invite {}", invite.0),
        };
        Ok(format!("{whom} is {done} by the root"))
    }

    /// Takes something that the root signed.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn statement(&self, caller: &Caller, text: StatementText) -> Result<Saved, Problem> {
        let statement: Statement =
            from_text(&text.text).map_err(|error| Problem::usage(error.to_string()))?;
        let what = match &statement {
            Statement::Rotate(_) => "the root's keys are rotated".to_owned(),
            Statement::Certify(signed) => match signed.decode() {
                Ok(certificate) => format!("{} is a manager", certificate.name),
                Err(error) => return Err(Problem::usage(error.to_string())),
            },
            Statement::Order(order) => self.ordered(order).await?,
        };
        let written = acts::carry(self.handles()?, statement).await;
        let written = written.map_err(problem)?;
        note(caller, &format!("the root spoke: {what}"));
        Ok(saved(&written, self.manager_count().await?, what))
    }
}
