//! Making a change so that it is on the audit record: what it would open, whether policy allows it, then the change.
//!
//! ```text
//!   draft ─▶ what it opens and closes ─▶ policy ─▶ intent on disk ─▶ the change ─▶ its ending on disk
//!                                          └─ refused: also on record
//! ```

use crate::audit::{Begun, no_actor, origin, unreadable};
use crate::caller::Caller;
use crate::container::task::blocking;
use crate::engine::Engine;
use crate::network::exposure;
use crate::shared::Shared;
use haven_audit::{Change, Entry, ExportFormat, Object, Query, SignedCheckpoint, Verification};
use haven_network::exposure::{Difference, Exposure, Facts, Policy, Verdict};
use haven_spec::{Failure, Kind, Outcome};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// With more links than this the difference in exposure is worked out only where a policy needs it.
const LINKS_AT_ONCE: usize = 2000;

/// What a change does to what is declared.
type Plan<'p> = Box<dyn FnOnce(&mut Facts) + 'p>;

/// A change before it is made.
pub(crate) struct Draft<'p> {
    entry: Entry,
    plan: Option<Plan<'p>>,
}

impl<'p> Draft<'p> {
    pub(crate) fn new(caller: &Caller, action: &str) -> Self {
        let entry = Entry {
            actor: caller.actor(),
            reason: caller.reason.clone().filter(|reason| !reason.is_empty()),
            ..no_actor(&caller.client, action)
        };
        Self { entry, plan: None }
    }

    pub(crate) fn about(mut self, object: Object) -> Self {
        self.entry.objects.push(object);
        self
    }

    pub(crate) fn before(mut self, state: Value) -> Self {
        self.entry.before = Some(state);
        self
    }

    pub(crate) fn after(mut self, state: Value) -> Self {
        self.entry.after = Some(state);
        self
    }

    pub(crate) fn because(mut self, reason: &str) -> Self {
        if !reason.is_empty() {
            self.entry.reason = Some(reason.to_owned());
        }
        self
    }

    /// What it does to what is declared.
    pub(crate) fn planned(mut self, plan: impl FnOnce(&mut Facts) + 'p) -> Self {
        self.plan = Some(Box::new(plan));
        self
    }

    pub(crate) fn into_entry(self) -> Entry {
        self.entry
    }
}

/// Makes a change that is recorded ahead. Blocking.
pub(crate) fn changed<T>(
    shared: &Shared,
    caller: &Caller,
    draft: Draft<'_>,
    work: impl FnOnce() -> Outcome<T>,
) -> Outcome<T> {
    // Two changes that policy allows one by one could together be what it forbids.
    let _turn = shared.config.policy.is_some().then(|| shared.turn.blocking_lock());
    let begun = begin(shared, caller, draft)?;
    let outcome = work();
    begun.end(&outcome);
    outcome
}

/// Records the intent of a change that policy allows. Blocking.
pub(crate) fn begin(shared: &Shared, caller: &Caller, draft: Draft<'_>) -> Outcome<Begun> {
    let Draft { mut entry, plan } = draft;
    let mut refused = None;
    let links = shared.links.count();
    if let Some(plan) = plan {
        if links <= LINKS_AT_ONCE || shared.config.policy.is_some() {
            let now = exposure::facts(shared);
            let mut then = now.clone();
            plan(&mut then);
            let (before, after) = (Exposure::draw(now), Exposure::draw(then));
            let difference = Difference::between(&before, &after);
            entry.affected = affected(&entry, &difference);
            if !difference.is_empty() {
                entry.exposure = serde_json::to_value(&difference).ok();
            }
            // What goes at its time goes, whatever a policy wants to be there.
            if !caller.is_engine() {
                refused = newly_broken(shared, &before, &after).err();
            }
        } else {
            entry.exposure = Some(json!({ "left_out": format!("there are {links} links") }));
        }
    }
    if let Some(refusal) = refused {
        let reasoned = entry.reason.is_some();
        if caller.break_glass && reasoned {
            entry.broke_glass = true;
        } else {
            let outcome: Outcome<()> = Err(refusal);
            shared.audit.begin(entry)?.end(&outcome);
            let Err(refusal) = outcome else { return Err(Failure::internal("a refusal was lost")) };
            return Err(if caller.break_glass {
                refusal.hint("overriding policy takes a reason: add --reason")
            } else {
                refusal
            });
        }
    }
    shared.audit.begin(entry)
}

/// Everybody else for whom it changes something.
fn affected(entry: &Entry, difference: &Difference) -> Vec<Object> {
    let object = |name: Arc<str>| {
        let kind = match &*name {
            "@host" => "host",
            "@outside" => "outside",
            name if name.starts_with("network:") => "network",
            name if name.contains('/') && name.starts_with(|c: char| c.is_ascii_digit()) => "range",
            _ => "application",
        };
        let plain = name.split_once(':').map_or(&*name, |(_, plain)| plain);
        Object::new(kind, plain)
    };
    let all = difference.affected().into_iter().map(object);
    all.filter(|object| !entry.objects.iter().any(|own| own.name == object.name)).collect()
}

/// The policy as it is now; changing the file is enough. `None`: there is none.
fn policy(shared: &Shared) -> Outcome<Option<Policy>> {
    let Some(path) = &shared.config.policy else { return Ok(None) };
    read_policy(path).map(Some)
}

fn read_policy(path: &Path) -> Outcome<Policy> {
    let cannot = || format!("cannot go by the policy `{}`", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::host(cannot())
            .because(e)
            .hint("restore the file, or take `policy` out of the configuration and restart the daemon")
    })?;
    Policy::parse(&text).map_err(|failure| failure.context(cannot()))
}

/// Fails when something that held no longer would.
fn newly_broken(shared: &Shared, before: &Exposure, after: &Exposure) -> Outcome<()> {
    let Some(policy) = policy(shared)? else { return Ok(()) };
    let held = policy.judge(before);
    let holds = policy.judge(after);
    let broken = held.iter().zip(&holds).find(|(before, after)| !after.holds && told(before) != told(after));
    let Some((_, verdict)) = broken else { return Ok(()) };
    let because = verdict.because.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    Err(Failure::new(Kind::Forbidden, format!("policy forbids it: `{}`{because}", verdict.rule))
        .because(verdict.broken_by.join("; "))
        .hint("change the policy, or override it with --break-glass and --reason, which is recorded"))
}

/// What breaks an assertion; one that was broken already may not be broken more.
fn told(verdict: &Verdict) -> (&[String], usize) {
    (&verdict.broken_by, verdict.and_more)
}

impl Engine {
    /// The same engine, acting for somebody: every change is recorded as theirs.
    #[must_use]
    pub fn on_behalf_of(&self, caller: Caller) -> Self {
        let mut engine = self.clone();
        engine.caller = Arc::new(caller);
        engine
    }

    /// Records something that has happened, without waiting for it.
    pub(crate) fn note_soon(&self, draft: Draft<'static>) {
        self.shared.audit.note_soon(draft.into_entry());
    }

    /// Makes a change by way of a container's task, recorded ahead.
    pub(crate) async fn recorded<T>(
        &self,
        draft: impl FnOnce(&Caller) -> Draft<'static> + Send + 'static,
        work: impl Future<Output = Outcome<T>>,
    ) -> Outcome<T> {
        let (shared, caller) = (Arc::clone(&self.shared), Arc::clone(&self.caller));
        let _turn = match shared.config.policy {
            Some(_) => Some(Arc::clone(&shared.turn).lock_owned().await),
            None => None,
        };
        let begun = blocking(move || begin(&shared, &caller, draft(&caller))).await?;
        let outcome = work.await;
        let ended = match &outcome {
            Ok(_) => Ok(()),
            Err(failure) => Err(Failure::new(failure.kind(), failure.one_line())),
        };
        drop(
            blocking(move || {
                begun.end(&ended);
                Ok(())
            })
            .await,
        );
        outcome
    }

    /// What is on record, the newest first, and how many lines of it could not be read.
    pub async fn audit(&self, query: Query) -> Outcome<(Vec<Change>, u64)> {
        let audit = Arc::clone(&self.shared.audit);
        blocking(move || {
            audit.write_pending();
            query.ask(&audit.directory()).map_err(unreadable)
        })
        .await
    }

    /// The same in other systems' words, one line each, the oldest first.
    pub async fn export_audit(&self, query: Query, format: ExportFormat) -> Outcome<Vec<u8>> {
        let audit = Arc::clone(&self.shared.audit);
        let origin = origin();
        blocking(move || {
            let mut text = Vec::new();
            audit.write_pending();
            let (changes, _) = query.ask(&audit.directory()).map_err(unreadable)?;
            for change in changes.iter().rev() {
                haven_audit::write_change(&mut text, change, format, &origin)?;
            }
            Ok(text)
        })
        .await
    }

    /// The newest signed checkpoint and the public key: what to keep elsewhere.
    pub fn audit_checkpoint(&self) -> (SignedCheckpoint, String) {
        (self.shared.audit.checkpoint(), self.shared.audit.public_key().to_string())
    }

    /// Checks the whole record, against checkpoints that were kept elsewhere if there are any.
    pub async fn verify_audit(&self, kept: Vec<String>) -> Outcome<Verification> {
        let (directory, key) = (self.shared.audit.directory(), self.shared.audit.public_key());
        blocking(move || {
            let kept =
                kept.iter().map(|note| SignedCheckpoint::open(note, &key)).collect::<Outcome<Vec<_>>>()?;
            haven_audit::verify(&directory, &key, &kept)
        })
        .await
    }

    /// Who can reach what, as it is declared now.
    pub async fn exposure(&self) -> Outcome<Exposure> {
        let shared = Arc::clone(&self.shared);
        blocking(move || Ok(Exposure::draw(exposure::facts(&shared)))).await
    }

    /// What making these links and removing those would open and close.
    pub async fn exposure_difference(
        &self,
        added: Vec<crate::AddLink>,
        removed: Vec<String>,
    ) -> Outcome<Difference> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let now = exposure::facts(&shared);
            let mut then = now.clone();
            for wanted in &removed {
                let id = crate::network::links::parse_id(wanted)?;
                if !then.remove_link(id) {
                    return Err(
                        Failure::not_found(format!("there is no link {wanted}")).hint("haven link ls")
                    );
                }
            }
            crate::network::links::plan(&shared, &mut then, &added)?;
            Ok(Difference::between(&Exposure::draw(now), &Exposure::draw(then)))
        })
        .await
    }

    /// What a policy says about what is declared now; without a text, the configured one.
    pub async fn test_policy(&self, text: Option<String>) -> Outcome<Vec<Verdict>> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let policy = match text {
                Some(text) => Policy::parse(&text)?,
                None => policy(&shared)?.ok_or_else(|| {
                    Failure::not_found("there is no policy")
                        .hint("give a file, or name one as `policy` under [network] in the configuration")
                })?,
            };
            Ok(policy.judge(&Exposure::draw(exposure::facts(&shared))))
        })
        .await
    }
}
