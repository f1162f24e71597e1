//! The session vault: what happens at sign-in, at each request, and at sign-out.
//!
//! ```text
//! sign-in   password ─seal(K)─▶ store          K = 32 random bytes, one per session, not kept
//!                 K ─wrap(ENCRYPT_KEY)─▶ cookie
//! request   cookie ─unwrap(ENCRYPT_KEY)─▶ K ─open─▶ password ─▶ file server
//! ```
//! So the server at rest has ciphertext and ENCRYPT_KEY but no K; the browser has K, wrapped, and neither password nor
//! ciphertext. What each seal is bound to stands in `facts.rs`. An attacker with the running server's memory *during* a
//! request sees what the request sees: nothing can be done about that here, but to keep it short.

use crate::address_lock::AddressLock;
use crate::cookie::{self, Cookie, CookieValue};
use crate::credential::Credential;
use crate::facts::{Authentication, Facts, SecondFactor, User};
use crate::keyring::Keyring;
use crate::moment::Moment;
use crate::proof::{self, NoProof, ProofKey, ProofPolicy};
use crate::record::Record;
use crate::refusal::{Ended, Refusal};
use crate::secret::Key;
use crate::session::{self, Session};
use crate::store::{Handle, Mark, Owner, Store};
use haven_spec::{Failure, Outcome};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The rules for all sessions.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// A session that isn't used for so long is gone.
    pub idle: Duration,
    /// A session is gone after so long, used or not.
    pub lifetime: Duration,
    pub lock: AddressLock,
    pub proof: ProofPolicy,
    /// Most sessions of one person; the one unused for longest makes room.
    pub most_sessions: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30 * 60),
            lifetime: Duration::from_secs(10 * 60 * 60),
            lock: AddressLock::Off,
            proof: ProofPolicy::default(),
            most_sessions: 20,
        }
    }
}

/// Somebody whose password was found right.
#[derive(Debug)]
pub struct SignIn {
    pub user: User,
    pub authentication: Authentication,
    pub second_factor: SecondFactor,
    pub credential: Credential,
    /// Where from.
    pub address: IpAddr,
    /// What the browser calls itself; shown in the person's list of sessions.
    pub client: String,
    /// The key the browser made, if it can.
    pub proof_key: Option<ProofKey>,
}

/// One line of a person's list of sessions: as the store tells it, for reading and not for deciding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    pub handle: Handle,
    pub created: Moment,
    pub last_used: Moment,
    pub expires: Moment,
    pub address: IpAddr,
    pub client: String,
    pub authentication: Authentication,
    pub second_factor: SecondFactor,
    pub proves_itself: bool,
}

pub struct Vault {
    store: Arc<dyn Store>,
    keys: RwLock<Arc<Keyring>>,
    policy: Policy,
}

impl Vault {
    pub fn new(store: Arc<dyn Store>, keys: Keyring, policy: Policy) -> Self {
        Self { store, keys: RwLock::new(Arc::new(keys)), policy }
    }

    /// Uses another ring from now on, the file having changed.
    pub fn replace_keys(&self, keys: Keyring) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    pub(crate) fn keys(&self) -> Arc<Keyring> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Begins a session: steps 3 to 6 of the design. The credential is wiped when this returns.
    pub async fn sign_in(&self, sign_in: SignIn, now: Moment) -> Outcome<CookieValue> {
        if self.policy.proof.required && sign_in.proof_key.is_none() {
            return Err(Failure::new(
                haven_spec::Kind::Forbidden,
                "this browser made no key to prove itself with",
            )
            .hint("use a current browser with scripts allowed, or set `proof = \"where-possible\"`"));
        }
        let facts = Facts {
            user: sign_in.user,
            authentication: sign_in.authentication,
            second_factor: sign_in.second_factor,
            created: now,
            expires: now.plus(self.policy.lifetime),
            idle: self.policy.idle,
            address: sign_in.address,
            client: sign_in.client,
            lock: self.policy.lock.tie(sign_in.address),
            proof_key: sign_in.proof_key,
        };
        self.begin(facts, &sign_in.credential, now).await
    }

    /// Stores a session with these facts under a new id and a new key.
    async fn begin(&self, facts: Facts, credential: &Credential, now: Moment) -> Outcome<CookieValue> {
        let owner = Owner::of(&facts.user);
        self.make_room(owner, now).await?;
        let lifetime = facts.idle.min(facts.expires.since(now));
        // Nothing secret stands in variables over the `await` below: a task that waits keeps them.
        let (handle, row, cookie) = {
            let sid = cookie::new_sid();
            let key = Key::random();
            let facts_bytes = facts.to_bytes();
            let sealed = session::sealed(credential, &key, &sid, &facts_bytes);
            let record = Record::new(facts, sid.as_slice(), &key, sealed, now);
            let cookie = cookie::wrap(&self.keys(), &sid, &key, &record.facts_bytes);
            (Handle::of(&sid), record.to_bytes(), cookie)
        };
        self.store.put(handle, owner, row, lifetime, now).await?;
        Ok(cookie)
    }

    async fn make_room(&self, owner: Owner, now: Moment) -> Outcome<()> {
        let mut rows = self.store.owned_by(owner, now).await?;
        if rows.len() < self.policy.most_sessions {
            return Ok(());
        }
        // All have the same idle time, so the least time left is the longest unused.
        rows.sort_by_key(|(_, row)| row.left);
        let surplus = rows.len() + 1 - self.policy.most_sessions.max(1);
        for (handle, _) in rows.into_iter().take(surplus) {
            self.store.remove(handle, owner, now).await?;
        }
        Ok(())
    }

    /// The session of a cookie, for one request that came from `address`: steps 8 and 9.
    pub async fn open(&self, cookie: &str, address: IpAddr, now: Moment) -> Result<Session, Refusal> {
        let cookie = Cookie::parse(cookie).ok_or(Ended::Malformed)?;
        let handle = cookie.handle();
        let row = self.store.find(handle, now).await?.ok_or(Ended::Gone)?;
        let record = Record::from_bytes(&row.bytes).map_err(|_| Ended::Forged)?;
        let keys = self.keys();
        let wrap = keys.wrap(cookie.version).ok_or(Ended::KeyRetired)?;
        let key = cookie.unwrap(wrap, &record.facts_bytes).ok_or(Ended::Forged)?;
        // From here on the facts are what they were at sign-in.
        let facts = &record.facts;
        if now >= facts.expires {
            self.store.remove(handle, Owner::of(&facts.user), now).await?;
            return Err(Ended::Expired.into());
        }
        if facts.lock.is_some_and(|network| !network.has(address)) {
            return Err(Refusal::Elsewhere);
        }
        if !record.proved_is_ours(cookie.sid.as_slice(), &key) {
            return Err(Ended::Forged.into());
        }
        let due = self.policy.proof.interval + self.policy.proof.grace;
        let proof_is_due = facts.proof_key.is_some() && now.since(record.proved) > due;

        let lifetime = facts.idle.min(facts.expires.since(now));
        // A session in use is written to the store a few times per idle time, not at each request.
        if row.left < lifetime - lifetime / 16 && !proof_is_due {
            self.store.touch(handle, lifetime, now).await?;
        }
        let fresh_cookie = (cookie.version != keys.current())
            .then(|| cookie::wrap(&keys, &cookie.sid, &key, &record.facts_bytes));
        Ok(Session { sid: cookie.sid, key, record, fresh_cookie, proof_is_due })
    }

    /// Checks what the browser's key signed; the session works on for the interval and the grace.
    pub async fn prove(
        &self,
        session: &mut Session,
        challenge: &str,
        signature: &[u8],
        now: Moment,
    ) -> Result<(), Refusal> {
        let Some(proof_key) = &session.record.facts.proof_key else { return Err(Refusal::ProofDue) };
        let made = match proof::check(&session.key, proof_key, challenge, signature, now) {
            Ok(made) => made,
            Err(NoProof::Late | NoProof::Foreign | NoProof::Signature) => return Err(Refusal::ProofDue),
        };
        let handle = session.handle();
        let once = Mark::of("bargate/challenge", &[handle.as_bytes(), challenge.as_bytes()]);
        if !self.store.claim(once, proof::remembered_for(), now).await? {
            return Err(Refusal::ProofDue);
        }
        session.record.set_proved(made.max(session.record.proved), session.sid.as_slice(), &session.key);
        if !self.store.replace(handle, session.record.to_bytes(), now).await? {
            return Err(Ended::Gone.into());
        }
        session.proof_is_due = false;
        let facts = &session.record.facts;
        self.store.touch(handle, facts.idle.min(facts.expires.since(now)), now).await?;
        Ok(())
    }

    /// The same person with another id and another key, after a second factor or whatever else raises what a session
    /// may do. The old session is gone; the latest end stays.
    pub async fn renew(
        &self,
        session: Session,
        second_factor: SecondFactor,
        now: Moment,
    ) -> Result<CookieValue, Refusal> {
        let credential = session.credential()?;
        let (handle, owner) = (session.handle(), Owner::of(session.user()));
        let facts = Facts { second_factor, ..session.record.facts.clone() };
        drop(session);
        // Only one of several requests that renew the same session gets a new one.
        if !self.store.remove(handle, owner, now).await? {
            return Err(Ended::Gone.into());
        }
        Ok(self.begin(facts, &credential, now).await?)
    }

    /// Ends this session.
    pub async fn sign_out(&self, session: Session, now: Moment) -> Outcome<()> {
        let (handle, owner) = (session.handle(), Owner::of(session.user()));
        drop(session);
        self.store.remove(handle, owner, now).await.map(|_| ())
    }

    /// Ends one of a person's sessions; somebody else's is not found.
    pub async fn revoke(&self, user: &User, handle: Handle, now: Moment) -> Outcome<()> {
        if self.store.remove(handle, Owner::of(user), now).await? {
            return Ok(());
        }
        Err(Failure::not_found("there is no such session").hint("it may have ended by itself"))
    }

    /// Ends all sessions of a person; how many there were.
    pub async fn sign_out_everywhere(&self, user: &User, now: Moment) -> Outcome<usize> {
        self.store.remove_owned_by(Owner::of(user), now).await
    }

    /// A person's sessions, the most recently used first. Rows that can't be read are left out.
    pub async fn sessions(&self, user: &User, now: Moment) -> Outcome<Vec<SessionView>> {
        let rows = self.store.owned_by(Owner::of(user), now).await?;
        let mut views: Vec<SessionView> = rows
            .into_iter()
            .filter_map(|(handle, row)| {
                let facts = Record::from_bytes(&row.bytes).ok()?.facts;
                let unused = facts.idle.min(facts.expires.since(now)).saturating_sub(row.left);
                Some(SessionView {
                    handle,
                    created: facts.created,
                    last_used: now.minus(unused).max(facts.created),
                    expires: facts.expires,
                    address: facts.address,
                    client: facts.client,
                    authentication: facts.authentication,
                    second_factor: facts.second_factor,
                    proves_itself: facts.proof_key.is_some(),
                })
            })
            .collect();
        views.sort_by(|a, b| b.last_used.cmp(&a.last_used).then(a.handle.cmp(&b.handle)));
        Ok(views)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("keys", &self.keys())
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
