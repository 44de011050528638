/// Why a request's signature does not count. A client may see the text: it says nothing that only the server knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no `signature` or no `signature-input`.
    #[error(
        "this server wants signed requests (RFC 9421); the headers signature-input and signature are missing"
    )]
    Missing,
    /// The headers are not what the standard or this server wants.
    #[error("the signature can't be read: {0}")]
    Malformed(&'static str),
    /// No signature names a key that is known here.
    #[error("no signature is by a key that this server knows")]
    UnknownKey,
    /// Something that has to be signed is not.
    #[error("the signature does not cover {0}, which this server wants signed")]
    NotCovered(&'static str),
    /// A component is covered that the request does not have.
    #[error("the signature covers something that the request does not have: {0}")]
    NoSuchComponent(String),
    /// A parameter is missing.
    #[error("the signature has no {0}")]
    NoParameter(&'static str),
    /// The signature is by another algorithm than the key's.
    #[error("the key is for {0}, and the signature names another algorithm")]
    WrongAlgorithm(&'static str),
    /// Older than it may become, or past its own end.
    #[error("the signature has expired; sign each request anew, and check the clock")]
    Expired,
    /// Made in the future.
    #[error("the signature was made in the future; check the clock")]
    FromTheFuture,
    /// The signature is not of this request, or not by this key.
    #[error("the signature does not fit the request")]
    Wrong,
    /// The body is another one.
    #[error("the body does not fit its content-digest")]
    WrongBody,
    /// Seen before.
    #[error("a request with this nonce was received before; use a new nonce for each request")]
    Replayed,
    /// This key has signed more requests than are remembered; none can be let in without risking a replay.
    #[error("too many requests were signed by this key within its time window; wait a moment")]
    TooManyNonces,
}
