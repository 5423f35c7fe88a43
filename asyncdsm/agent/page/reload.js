// Requests the page once more. A browser that follows a link from another site does not send the session cookie, which is
// strict; with a request that comes from the agent's own page it does. A file of its own, because it is served before the
// login.

location.replace(`/?again${location.hash}`);
