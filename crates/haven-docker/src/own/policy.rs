//! `/haven/v1/policy/test`: whether what is declared keeps to a policy.

use super::spelling::dockers;
use crate::Api;
use crate::call::Call;
use crate::refusal::Answer;
use crate::reply::Reply;
use crate::wire::wire;

wire! {
    TestBody {
        /// TOML; the configured policy when it is left out.
        policy: Option<String> = "Policy",
    }
}

pub(crate) async fn test(api: &Api, mut call: Call) -> Answer<Reply> {
    let body: TestBody = call.json_or_none().await?.unwrap_or_default();
    Ok(Reply::json(&dockers(&api.engine.test_policy(body.policy).await?)))
}
