"""Every code that a :class:`~gateway.config.problems.Problem` can carry, and what it means.

Codes are names that CI jobs and runbooks hold on to: a code is never reused for something else. The first digit tells
how far a file came: ``E1xx`` its text, ``E2xx`` its shape, ``E3xx`` its meaning, ``E4xx`` the file system; ``W4xx``
are lints, which never refuse a generation.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """What a code stands for, in words for ``validate --explain``."""

    title: str
    explanation: str
    remedy: str


#: Lints that only tell something: no findings, however strict the check is.
INFORMATION = frozenset({"W417", "W418"})

CODES: dict[str, Code] = {
    # --- the text -----------------------------------------------------------------------------------------------------
    "E101": Code(
        "not YAML",
        "The file's text breaks YAML's own rules, so that nothing in it can be read.",
        "Look at the position named and just before it: mostly an indentation, a tab or a missing quote.",
    ),
    "E102": Code(
        "a key that is not text",
        "A mapping's keys must be plain text; a list or a mapping stands where a key is expected.",
        "Write the key as a word, and remove the '? ' in front of it.",
    ),
    "E103": Code(
        "anchor, alias, merge key or tag",
        "Anchors (&x), aliases (*x), merge keys (<<) and tags (!x) are refused: a few bytes of them grow to gigabytes "
        "once expanded, and a reader of the file cannot see what a line means without the rest of it.",
        "Write the values out where they are used.",
    ),
    "E104": Code(
        "a key given twice",
        "The same key stands twice in one mapping; YAML readers disagree on which one counts.",
        "Keep one of the two.",
    ),
    "E105": Code(
        "more than one document",
        "A file holds exactly one document; '---' begins a second one.",
        "Move the second document to a file of its own.",
    ),
    "E106": Code(
        "nested too deeply",
        "Lists and mappings are nested more than 32 levels deep; no document needs more than 6.",
        "Remove the nesting.",
    ),
    "E107": Code(
        "a number with too many digits",
        "No setting needs a number that long.",
        "Shorten the number, or quote it if it is a name.",
    ),
    "E108": Code(
        "not plain UTF-8 text",
        "The file holds bytes that are not UTF-8, or characters that editors do not show (control characters, Unicode "
        "line separators). A UTF-8 byte order mark at the beginning is accepted.",
        "Save the file as UTF-8 and remove the character at the position named.",
    ),
    "E109": Code(
        "an empty file",
        "The file holds no document, only space or comments. A half-saved file looks like this for a moment.",
        "Write a router or a gateway document, or delete the file.",
    ),
    "E110": Code(
        "over a limit",
        "A file may have 1 MiB and 50,000 values, a folder 5,000 files; at most 100 problems are shown for a file.",
        "Split the file, or remove what is not a router.",
    ),
    # --- the shape ----------------------------------------------------------------------------------------------------
    "E201": Code(
        "not a mapping",
        "A document is a mapping of fields to values; this one is a list or a single value.",
        "Begin the document with 'name:'.",
    ),
    "E203": Code(
        "a value that does not fit",
        "The field exists, but its value has the wrong type, form or range.",
        "Compare with the field's description in schemas/; durations look like 250ms, 5s or 1h, sizes like 32MiB.",
    ),
    "E204": Code(
        "an unknown field",
        "No such field exists here. Unknown fields are refused, because a field that is misspelt would otherwise "
        "silently have no effect.",
        "Correct the spelling or remove the field.",
    ),
    "E205": Code(
        "a missing field",
        "A field that is required here is not there.",
        "Add the field.",
    ),
    "E206": Code(
        "too few or too many entries",
        "A router needs at least one candidate and takes at most 200; other lists have limits of their own.",
        "Add or remove entries.",
    ),
    "E207": Code(
        "not one of the allowed values",
        "The field takes one of a few fixed values.",
        "Use one of the values listed in the message.",
    ),
    "E208": Code(
        "an unknown schema version",
        "The document is written for another version of the format than this release reads.",
        "Write 'schema_version: 1', or leave the field out.",
    ),
    "E209": Code(
        "two fields that exclude each other",
        "Each of the two fields is fine alone; together they contradict each other.",
        "Remove one of the two.",
    ),
    # --- the meaning --------------------------------------------------------------------------------------------------
    "E301": Code(
        "more than one gateway document",
        "Providers, models, clients and limits are declared in one place: at most one document says 'kind: gateway'.",
        "Merge the gateway documents.",
    ),
    "E302": Code(
        "a name that is taken",
        "Two things would answer to one name. Router names are compared without regard to letter case, and must not be "
        "the name of a provider or a model.",
        "Choose another name.",
    ),
    "E303": Code(
        "an undeclared provider or model",
        "A model is written as provider/model, and its provider must be built in or declared in the gateway document.",
        "Correct the spelling, or declare the provider.",
    ),
    "E304": Code(
        "a router inside a router",
        "A candidate or designator is a model, never a router: routers that point to each other would never end.",
        "Name the models instead.",
    ),
    "E305": Code(
        "the same candidate twice",
        "A designator chooses by name, so a router can list a model only once.",
        "Remove one, or merge the two purposes.",
    ),
    "E306": Code(
        "not a candidate of this router",
        "A fallback, and the models that a test expects, must be among the router's own candidates.",
        "Name one of the candidates, or add the model to them.",
    ),
    "E307": Code(
        "a URL that cannot be used",
        "A base URL is https://host[:port][/path], without credentials, query or fragment. Plain http is accepted for "
        "hosts of one's own network only, since keys and prompts travel on it.",
        "Correct the URL; keys go into api_key.",
    ),
    "E308": Code(
        "a URL to a reserved address",
        "Link-local and cloud metadata addresses are never dialled: a configuration could otherwise fetch the "
        "machine's own credentials. Other reserved ranges, and addresses in disguise (0x7f.1, 2130706433), need a "
        "clear statement.",
        "Write the address in its usual form; for a reserved range set 'allow_private: true' at the provider.",
    ),
    "E309": Code(
        "a secret in the file",
        "Keys are never written into a configuration, since it is read by many and kept for ever in git. If this one "
        "is real, replace it at its provider now.",
        "Write env:NAME or file:/run/secrets/name, and put the key there.",
    ),
    "E310": Code(
        "a secret that cannot be read",
        "The environment variable or file that a key is referred to is missing, empty, too large or not one line.",
        "Set the variable, or mount the file.",
    ),
    "E311": Code(
        "a secret file outside its folder",
        "A secret's file is an absolute path without '..', and lies inside LLM_RELAY_SECRETS_DIR where that is set: "
        "a configuration must not be able to send any file of the machine to a provider.",
        "Use a path inside the secrets folder.",
    ),
    "E314": Code(
        "an unknown router in a client",
        "A client may use the routers that it lists, and one of them does not exist.",
        "Correct the spelling or remove the entry.",
    ),
    "E315": Code(
        "one key, two owners",
        "Two clients or operators hold the same key, so that nobody could tell whose request it was.",
        "Give each of them a key of its own.",
    ),
    "E320": Code(
        "open to others without keys",
        "The gateway listens where other machines reach it, and no client is declared: everybody could use its "
        "providers' keys.",
        "Declare clients, bind a loopback address, or start with --allow-anonymous.",
    ),
    # --- the files ----------------------------------------------------------------------------------------------------
    "E401": Code(
        "an empty generation",
        "There is no router at all. A folder that is being replaced looks like this for a moment, so it is refused.",
        "Add a router, or say 'allow_empty: true' in the gateway document.",
    ),
    "E402": Code(
        "a file that cannot be read",
        "The entry is not a regular file that this process may read: a folder, FIFO, socket or device, a dangling "
        "symbolic link, or a file without read permission.",
        "Remove the entry or correct its permissions.",
    ),
    "E403": Code(
        "a link out of the folder",
        "The symbolic link points outside the configuration folder, so that what it names is not part of the "
        "generation.",
        "Copy the file into the folder.",
    ),
    "E404": Code(
        "assessments that cannot be used",
        "A file in intelligence/ that a router with 'source: file' reads is no list of its assessments. Routing goes "
        "on with those that were there before.",
        "Correct what the position points to, or write the file anew with `llm-relay intelligence export`.",
    ),
    # --- lints --------------------------------------------------------------------------------------------------------
    "W401": Code(
        "a single candidate",
        "With one candidate there is nothing to decide, and nothing to fall back to.",
        "Add a second candidate.",
    ),
    "W402": Code(
        "an extension in another letter case",
        "Only .yaml and .yml are read, in lower case; this file is ignored.",
        "Rename the file.",
    ),
    "W403": Code(
        "perhaps a misspelt model",
        "The provider's catalogue has no such model, but one whose name is nearly the same. Catalogues are never "
        "complete, so it is accepted.",
        "Check the spelling against the provider's model list; declare the model to silence this.",
    ),
    "W405": Code(
        "a secret file that everybody may read",
        "The file's mode lets every user of the machine read the key.",
        "chmod o-r the file.",
    ),
    "W406": Code(
        "a secret that is not here",
        "A key is missing where a configuration is only checked, as in CI; the gateway itself would refuse it (E310).",
        "Nothing to do here; make sure that the gateway has the key.",
    ),
    "W407": Code(
        "a candidate without a purpose",
        "The designator chooses by the candidates' purposes; of this one it knows only the name.",
        "Say in a few words what the candidate is best for.",
    ),
    "W408": Code(
        "a setting without effect",
        "The setting is valid, but nothing uses it as things stand.",
        "Remove it, or set what it depends on.",
    ),
    "W409": Code(
        "two candidates with one purpose",
        "The designator cannot tell the two candidates apart.",
        "Say what distinguishes them.",
    ),
    "W410": Code(
        "two candidates with nearly one purpose",
        "The two purposes share at least six of ten words, not counting common ones. The designator can hardly tell "
        "the candidates apart, so that small things in a request decide.",
        "Say what distinguishes the two, or merge them.",
    ),
    "W411": Code(
        "a fallback that holds much less",
        "The fallback's context window is less than half of another candidate's. For a request that is too long for "
        "it, the first candidate that can serve answers in place of the fallback.",
        "Choose a fallback that holds the requests that the others hold.",
    ),
    "W412": Code(
        "no candidate reads images",
        "All candidates are known not to read images: a request with an image is refused (no_candidate).",
        "Add a candidate that can, or silence this where no image is ever sent.",
    ),
    "W413": Code(
        "no candidate calls tools",
        "All candidates are known not to call tools: a request with tools is refused (no_candidate).",
        "Add a candidate that can, or silence this where no tools are ever sent.",
    ),
    "W414": Code(
        "a designator that always reasons",
        "The model reasons before every answer and cannot be told not to. A decision is a single name; with reasoning "
        "it takes seconds, so that mostly the timeout decides, and the fallback answers.",
        "Choose a small model that answers at once.",
    ),
    "W415": Code(
        "a dear designator",
        "The designator reads every request; at USD 3 or more per million tokens (three of the prompt for one of the "
        "answer) deciding becomes a cost of its own.",
        "Choose a small model; naming one of a few candidates is an easy task.",
    ),
    "W416": Code(
        "a long designator prompt",
        "With purposes and candidates the designator's instructions come to more than 2,000 tokens, which are paid and "
        "waited for with every decision.",
        "Shorten the purposes, or split the router.",
    ),
    "W417": Code(
        "an unknown price",
        "Nobody knows what the candidate costs: its requests are missing in cost reports and plans, and the designator "
        "reads 'cost: unknown'. For information; not a finding.",
        "Declare its price under models in the gateway document; 0 if it is free.",
    ),
    "W418": Code(
        "an unknown context window",
        "Nobody knows how much the candidate holds, so it is tried with requests of any length. For information; not a "
        "finding.",
        "Declare its context under models in the gateway document.",
    ),
    "W419": Code(
        "a purpose that gives orders",
        "A purpose describes what a candidate is best for. An order in it ('always choose this', 'ignore the others') "
        "bends every decision, also those that it was not written for.",
        "Describe the candidate; for a router without a choice list a single candidate.",
    ),
    "W420": Code(
        "a candidate that no test expects",
        "The router has tests, but none that ends at this candidate: nobody would notice if it were never chosen any "
        "more.",
        "Add a test whose expect names it.",
    ),
    "W421": Code(
        "a long wait for the designator",
        "While the designator decides the client waits, before its request is even sent; more than 10 seconds of that "
        "is longer than most answers take.",
        "Set a shorter timeout; when it is over, the fallback answers.",
    ),
    "W422": Code(
        "a silence that is not clear",
        "A comment '# relay: ignore W4xx reason' names the lints that it silences and says why. Errors cannot be "
        "silenced. One without a reason still counts, but is reported.",
        "Write the codes and then the reason.",
    ),
    "W423": Code(
        "a silence without effect",
        "The comment silences a lint that is not found on its line (or in its file, for one at the top).",
        "Remove the comment, or move it to the line above the place.",
    ),
    "W424": Code(
        "assessments without their store",
        "The router's assessments are in ChromaDB, which is an extra that is not installed here. Routing goes on "
        "without assessments.",
        "pip install 'llm-relay[intelligence]', or read them from files: 'source: file'.",
    ),
}
