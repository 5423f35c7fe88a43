// Asks for the page again, from a page of this site: only then does the browser send a strict cookie.

location.replace(`/?again${location.hash}`);
