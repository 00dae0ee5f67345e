//! Batch reads of associations in which every record that is asked for is accounted for.
//!
//! An answer may leave records out: because they have no association, which HubSpot says in `errors`, or because a part of
//! the batch failed, or for no reason at all. A record that an answer neither names nor excuses is asked for again with
//! the others of its kind, then alone, then by its own endpoint. What is open after that fails the call: a record is never
//! taken for one without associations because an answer is silent.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use percent_encoding::percent_decode_str;

use super::association_input::{AssociationInput, encode_batch};
use super::associations::{AssociationResponse, Associations, parse_response, read_record};
use super::request::{Endpoint, Request, encode};
use super::{Client, ClientError, ObjectId, ObjectType};

/// What a portal took before 2025. A batch of no more inputs is not cut because an answer is late.
const MIN_INPUTS: usize = 100;
/// Records of one call that HubSpot may refuse one by one before the refusal counts for all.
const MAX_REFUSED: usize = 50;
/// How often a record is asked for in batches before it is asked for alone.
const TOGETHER: u32 = 2;

/// One call in progress.
struct AssociationRead<'c> {
    client: &'c Client,
    from: &'c ObjectType,
    to: &'c ObjectType,
    found: Associations,
    /// Batches to ask for, the next one last.
    batches: Vec<Vec<AssociationInput>>,
    /// Records that have no answer yet.
    open: Vec<AssociationInput>,
    /// Records that were refused alone.
    refusals: usize,
    /// Records whose own endpoint refuses them, too.
    refused: Vec<ObjectId>,
    /// A batch of this size was refused, and no record alone explains it so far.
    refused_size: Option<usize>,
}

impl Client {
    /// Reads all associations of `ids` with records of the type `to`, following each record's own paging. A record
    /// without associations has no links. So has one that HubSpot refuses to read, which a warning names.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::MissingScopes`] unless both types may be read; [`ClientError::Malformed`]
    /// when HubSpot answers nothing about a record, however it is asked.
    pub async fn batch_read_associations(
        &self,
        from: &ObjectType,
        to: &ObjectType,
        ids: &[ObjectId],
    ) -> Result<Associations, ClientError> {
        let inputs: Vec<AssociationInput> = ids.iter().map(|id| AssociationInput::first_page(*id)).collect();
        let mut read = AssociationRead {
            client: self,
            from,
            to,
            found: Associations::default(),
            batches: Vec::new(),
            open: Vec::new(),
            refusals: 0,
            refused: Vec::new(),
            refused_size: None,
        };
        read.enqueue(inputs, self.association_batches.size());
        read.run().await?;
        if !read.refused.is_empty() {
            let ids: Vec<String> = read.refused.iter().map(ToString::to_string).collect();
            tracing::warn!(
                "HubSpot refuses to read the {to} of {from} {}; they count as records without {to}",
                ids.join(", ")
            );
        }
        Ok(Associations { refused: read.refused, ..read.found })
    }

    /// Asks for the associations of one id that need not exist, to see whether they can be read.
    ///
    /// # Errors
    /// [`ClientError::MissingScopes`] when the token may not; [`ClientError::Refused`] when the portal does not know one of
    /// the types; any other.
    pub async fn probe_associations(&self, from: &ObjectType, to: &ObjectType) -> Result<(), ClientError> {
        match self.read_batch(from, to, &[AssociationInput::first_page(ObjectId(1))]).await {
            // It may be the id that is refused: the types have an endpoint of their own.
            Err(ClientError::Refused { status: 400 | 404, .. }) => {
                self.list_association_types(from, to).await.map(drop)
            }
            answer => answer.map(drop),
        }
    }

    async fn read_batch(
        &self,
        from: &ObjectType,
        to: &ObjectType,
        asked: &[AssociationInput],
    ) -> Result<AssociationResponse, ClientError> {
        let url = format!("{}/batch/read", self.paths.associations(from, to));
        let request = Request::post_json(Endpoint::Associations, url, encode_batch(asked));
        self.call(request, |body| parse_response(&body)).await
    }

    /// All associations of one record, by the endpoint of that record; none where there is no such record.
    async fn list_associations(
        &self,
        from: &ObjectType,
        to: &ObjectType,
        id: ObjectId,
    ) -> Result<Option<Associations>, ClientError> {
        let url = format!("{}/{id}/associations/{}?limit=500", self.paths.objects(from), encode(to.as_str()));
        let mut found = Associations::default();
        let (mut after, mut seen): (Option<String>, HashSet<String>) = (None, HashSet::new());
        loop {
            let page = match self.association_page(&url, id, after.as_deref()).await {
                // A cursor that is refused as it stands is taken in its decoded form.
                Err(ClientError::Refused { status: 400, .. }) if after.as_deref().and_then(decoded).is_some() => {
                    let plain = after.as_deref().and_then(decoded);
                    self.association_page(&url, id, plain.as_deref()).await
                }
                Err(ClientError::Refused { status: 404, .. }) if after.is_none() => return Ok(None),
                page => page,
            };
            let (page, next) = page?;
            found.merge(page);
            match next {
                None => return Ok(Some(found)),
                Some(next) if seen.insert(next.clone()) => after = Some(next),
                Some(next) => {
                    let reason = format!("the page of {id} leads back to {next}");
                    return Err(ClientError::unusable(Endpoint::Associations, reason));
                }
            }
        }
    }

    async fn association_page(
        &self,
        url: &str,
        id: ObjectId,
        after: Option<&str>,
    ) -> Result<(Associations, Option<String>), ClientError> {
        let url = match after {
            Some(after) => format!("{url}&after={}", encode(after)),
            None => url.to_owned(),
        };
        // It is counted with the general pool, as all reads of one object are.
        self.call(Request::get(Endpoint::Get, url), |body| read_record(&body, id)).await
    }
}

impl AssociationRead<'_> {
    async fn run(&mut self) -> Result<(), ClientError> {
        loop {
            while let Some(asked) = self.batches.pop() {
                match self.client.read_batch(self.from, self.to, &asked).await {
                    Ok(response) => self.account(asked, response),
                    Err(error) => self.split(asked, error)?,
                }
            }
            if self.open.is_empty() {
                self.learn_size();
                return Ok(());
            }
            self.ask_again().await?;
        }
    }

    /// Puts inputs into batches; the first inputs are asked for first.
    fn enqueue(&mut self, inputs: Vec<AssociationInput>, size: usize) {
        self.batches.extend(inputs.chunks(size.max(1)).rev().map(<[AssociationInput]>::to_vec));
    }

    /// Takes what an answer says of each input.
    fn account(&mut self, asked: Vec<AssociationInput>, response: AssociationResponse) {
        let AssociationResponse { found, named, cursors, absent, is_clean } = response;
        let batches = &self.client.association_batches;
        batches.succeeded(!absent.is_empty());
        let mut cursors: HashMap<ObjectId, String> = cursors.into_iter().collect();
        let mut pages = Vec::new();
        let ids: HashSet<ObjectId> = asked.iter().map(|input| input.id).collect();
        for mut input in asked {
            match cursors.remove(&input.id) {
                Some(next) if leads_on(input.after.as_deref(), &next) => {
                    pages.push(AssociationInput { after: Some(next), open: 0, ..input });
                }
                // Its cursors do not work here.
                Some(_) => self.open.push(AssociationInput { after: None, open: u32::MAX, ..input }),
                None if named.contains(&input.id) || absent.contains(&input.id) => {}
                // A portal that never excuses a record is silent about those without associations.
                None if is_clean && input.open > 0 && !batches.excuses_records() => {}
                None => {
                    input.open += 1;
                    self.open.push(input);
                }
            }
        }
        // Answers to another question are left out.
        self.found.merge(found.of(&ids));
        self.enqueue(pages, batches.size());
    }

    /// What to do about a batch that failed.
    fn split(&mut self, mut asked: Vec<AssociationInput>, error: ClientError) -> Result<(), ClientError> {
        let is_refused = error.is_of_input();
        let is_too_large = is_refused || matches!(error, ClientError::Failing { .. } | ClientError::Unreachable { .. });
        let size = asked.len();
        if is_refused && size == 1 {
            let input = asked.swap_remove(0);
            if input.after.is_none() {
                self.refused_size = None;
                self.refusals += 1;
            }
            self.open.push(AssociationInput { after: None, open: u32::MAX, ..input });
            return if self.refusals > MAX_REFUSED { Err(error) } else { Ok(()) };
        }
        if !is_too_large || (!is_refused && size <= MIN_INPUTS) {
            return Err(error);
        }
        let half = size / 2;
        match is_refused {
            true => self.refused_size = Some(self.refused_size.unwrap_or(size).min(size)),
            false => self.client.association_batches.shrink(half, false),
        }
        let rest = asked.split_off(half);
        self.batches.extend([rest, asked]);
        Ok(())
    }

    /// Batches were refused that no record alone explains: the portal takes fewer inputs.
    fn learn_size(&mut self) {
        if let Some(size) = self.refused_size.take() {
            self.client.association_batches.shrink(size / 2, true);
        }
    }

    /// Asks again for what is open: together, then alone, at last by the record's own endpoint.
    async fn ask_again(&mut self) -> Result<(), ClientError> {
        let open = std::mem::take(&mut self.open);
        let (together, alone): (Vec<AssociationInput>, Vec<AssociationInput>) =
            open.into_iter().partition(|input| input.open < TOGETHER);
        self.enqueue(together, self.client.association_batches.size());
        let (alone, by_record): (Vec<AssociationInput>, Vec<AssociationInput>) =
            alone.into_iter().partition(|input| input.open == TOGETHER);
        self.enqueue(alone, 1);
        for input in by_record {
            match self.client.list_associations(self.from, self.to, input.id).await {
                Ok(found) => self.found.merge(found.unwrap_or_default()),
                Err(error) if error.is_of_input() => self.refused.push(input.id),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether a record's cursor lies behind the one asked with; of cursors that are no numbers, whether it is another one.
fn leads_on(from: Option<&str>, to: &str) -> bool {
    match (from.map(str::parse::<u64>), to.parse::<u64>()) {
        (Some(Ok(from)), Ok(to)) => to > from,
        _ => from != Some(to),
    }
}

/// A cursor without its percent-encoding; none where it has none.
fn decoded(cursor: &str) -> Option<String> {
    let plain = percent_decode_str(cursor).decode_utf8().ok();
    plain.filter(|_| cursor.contains('%')).map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_leads_back_is_not_followed() {
        for (before, after, good) in [
            (None, "5", true),
            (Some("5"), "6", true),
            (Some("5"), "5", false),
            (Some("5"), "4", false),
            (Some("x"), "x", false),
        ] {
            assert_eq!(leads_on(before, after), good, "{before:?} {after}");
        }
    }

    #[test]
    fn cursors_lose_their_percent_encoding() {
        assert_eq!(decoded("MC0yLTE1OTc0MDA2NTg%3D").as_deref(), Some("MC0yLTE1OTc0MDA2NTg="));
        assert_eq!(decoded("plain"), None);
        assert_eq!(decoded("%zz%").as_deref(), Some("%zz%"));
    }
}
