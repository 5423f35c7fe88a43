// Requests the page once more. A browser that follows a link from another site does not send the session cookie, since
// it is strict. With a request that comes from the agent's own page, it does. A file of its own, which is served before
// the login.

location.replace(`?again${location.hash}`);
