//! What a running node does for those who ask on its control socket.

use crate::control::api::{
    Check, Device, DeviceDetail, FleetInfo, GrantAsk, Granted, Invite, InviteAsk, InviteGiven,
    LabelAsk, Manager, ManagerRequest, Metric, PathReport, Pong, Problem, RevokeAsk, Saved,
    SignedInviteText, StatementText, Status,
};
use crate::control::server::Caller;

fn not_started<T>() -> Result<T, Problem> {
    Err(Problem::not_ready("this node has not started yet"))
}

/// The one place where questions and orders of operators reach the actors.
#[derive(Clone, Debug, Default)]
pub struct Desk {}

/// Every method ends in a [`Problem`] where it cannot do what is asked; then nothing has changed.
impl Desk {
    /// How this node is.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn status(&self) -> Result<Status, Problem> {
        not_started()
    }

    /// The devices that a selector selects, or all.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn devices(&self, selector: Option<&str>) -> Result<Vec<Device>, Problem> {
        let _ = (selector,);
        not_started()
    }

    /// One device, by its name, its id, or a prefix of that which no other has.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn device(&self, name: &str) -> Result<DeviceDetail, Problem> {
        let _ = (name,);
        not_started()
    }

    /// The managers.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn managers(&self) -> Result<Vec<Manager>, Problem> {
        not_started()
    }

    /// The invites that were given.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn invites(&self) -> Result<Vec<Invite>, Problem> {
        not_started()
    }

    /// What `invite --manager` and `root sign` need to work with the root key.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn fleet(&self) -> Result<FleetInfo, Problem> {
        not_started()
    }

    /// Makes an invite for devices.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn invite(&self, caller: &Caller, ask: InviteAsk) -> Result<InviteGiven, Problem> {
        let _ = (caller, ask);
        not_started()
    }

    /// Records an invite that the root signed.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn record_invite(
        &self,
        caller: &Caller,
        signed: SignedInviteText,
    ) -> Result<Saved, Problem> {
        let _ = (caller, signed);
        not_started()
    }

    /// Changes a device's labels.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn label(
        &self,
        caller: &Caller,
        name: &str,
        ask: LabelAsk,
    ) -> Result<Saved, Problem> {
        let _ = (caller, name, ask);
        not_started()
    }

    /// Stops a device, or an invite by its id.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn revoke(
        &self,
        caller: &Caller,
        name: &str,
        ask: RevokeAsk,
    ) -> Result<Saved, Problem> {
        let _ = (caller, name, ask);
        not_started()
    }

    /// Lists a device no more.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn forget(&self, caller: &Caller, name: &str) -> Result<Saved, Problem> {
        let _ = (caller, name);
        not_started()
    }

    /// Makes an invite for new hardware that takes a device's place.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn replace(
        &self,
        caller: &Caller,
        name: &str,
        ask: InviteAsk,
    ) -> Result<InviteGiven, Problem> {
        let _ = (caller, name, ask);
        not_started()
    }

    /// Renews a device's certificate, or this node's own.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn renew(&self, caller: &Caller, name: Option<&str>) -> Result<Saved, Problem> {
        let _ = (caller, name);
        not_started()
    }

    /// Signs a certificate for an operator.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn grant(&self, caller: &Caller, ask: GrantAsk) -> Result<Granted, Problem> {
        let _ = (caller, ask);
        not_started()
    }

    /// The nodes that wait until the root makes them managers.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn requests(&self) -> Result<Vec<ManagerRequest>, Problem> {
        not_started()
    }

    /// Takes something that the root signed.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn statement(&self, caller: &Caller, text: StatementText) -> Result<Saved, Problem> {
        let _ = (caller, text);
        not_started()
    }

    /// One probe of a device.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn ping(&self, name: &str) -> Result<Pong, Problem> {
        let _ = (name,);
        not_started()
    }

    /// How this node reaches a device.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn path(&self, name: &str) -> Result<PathReport, Problem> {
        let _ = (name,);
        not_started()
    }

    /// What is wrong here, and what to do about it.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn doctor(&self) -> Result<Vec<Check>, Problem> {
        not_started()
    }

    /// What this node measures of itself.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn metrics(&self) -> Result<Vec<Metric>, Problem> {
        not_started()
    }
}
