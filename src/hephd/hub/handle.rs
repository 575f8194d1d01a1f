//! How the socket's connections see the hub: who syncs, and which machines are invited.

use std::sync::Arc;

use tokio::task;

use super::Hub;
use crate::client::wire::{InvitedMachine, Machine, Machines, SpokeStatus};
use crate::error::{Error, Kind, Result};
use crate::hephd::auth::Anonymous;
use crate::hephd::sync::HubUrl;
use crate::os::clock;

/// The connections' view of the hub, if hephd is one.
#[derive(Clone, Debug, Default)]
pub(in crate::hephd) struct Handle(pub(super) Option<Arc<Hub>>);

impl Handle {
    /// Returns the spokes that have synced since the hub started; `None` where hephd is no hub.
    pub(in crate::hephd) fn spokes(&self) -> Option<Vec<SpokeStatus>> {
        Some(self.0.as_ref()?.metrics().spokes())
    }

    /// Invites a machine to the hub at `url`, or where the last invitation or the hub's own address leads.
    ///
    /// # Errors
    ///
    /// hephd is no hub, or one that serves everybody; the name or the URL is invalid; the list cannot be written.
    pub(in crate::hephd) async fn invite(
        &self,
        name: Option<String>,
        url: Option<String>,
    ) -> Result<InvitedMachine> {
        let hub = self.hub()?;
        if hub.auth.anonymous == Anonymous::Always {
            return Err(Error::usage(
                "this hub serves everybody (--insecure-no-auth), so an invitation would mean nothing",
            )
            .with_hint("`heph daemon restart --unset insecure-no-auth --invited-only`"));
        }
        let hub = Arc::clone(hub);
        blocking(move || {
            let machines = &hub.auth.machines;
            let given = url.as_deref().map(HubUrl::parse).transpose();
            let given = given.map_err(|error| error.with_kind(Kind::Invalid))?;
            let url = match (&given, machines.url()) {
                (Some(given), _) => given.text.clone(),
                (None, Some(former)) => former,
                (None, None) => hub.own_url()?,
            };
            let remembered = given.as_ref().map(|given| given.text.as_str());
            let invited = machines.invite(name.as_deref(), remembered, clock::now())?;
            Ok(InvitedMachine {
                name: invited.name,
                url,
                secret: invited.secret.text().to_owned(),
                replaced: invited.was_replaced,
            })
        })
        .await
    }

    /// Returns the machines that are invited, and when they last synced.
    pub(in crate::hephd) fn machines(&self) -> Result<Machines> {
        let hub = self.hub()?;
        let spokes = hub.metrics().spokes();
        let machines = hub.auth.machines.all().into_iter().map(|machine| {
            let is_it = |spoke: &&SpokeStatus| spoke.machine.as_ref() == Some(&machine.name);
            let spoke = spokes.iter().find(is_it);
            Machine {
                version: spoke.map(|spoke| spoke.version.clone()),
                last_seen: spoke.map(|spoke| spoke.last_seen),
                invited_at: machine.invited_at,
                name: machine.name,
            }
        });
        Ok(Machines {
            machines: machines.collect(),
        })
    }

    /// Revokes the secret of a machine.
    pub(in crate::hephd) async fn revoke(&self, name: String) -> Result<()> {
        let hub = Arc::clone(self.hub()?);
        blocking(move || hub.auth.machines.revoke(&name)).await
    }

    fn hub(&self) -> Result<&Arc<Hub>> {
        self.0.as_ref().ok_or_else(|| {
            Error::usage("the hephd of this machine is no hub")
                .with_hint("run this on the hub, or make this machine one: `heph daemon start --mode server --http-addr ADDR`")
        })
    }
}

impl Hub {
    /// Returns the URL of the address that the hub listens on.
    fn own_url(&self) -> Result<String> {
        let address = self.address;
        if address.ip().is_unspecified() {
            return Err(Error::usage(
                "cannot tell at which URL other machines reach this hub: it listens on every address",
            )
            .with_kind(Kind::Invalid)
            .with_hint("name it: `heph hub invite --url URL`, such as http://192.168.1.5:7345"));
        }
        Ok(format!("http://{address}"))
    }
}

/// Runs `work`, which writes a file, where nobody waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = task::spawn_blocking(work).await;
    done.map_err(|_| Error::new("hephd is shutting down"))?
}
