# Accounts, roles, organisations, the administrator's pages.
field-login = Login
field-name = Name
field-email = E-mail
field-organisation = Organisation
field-password = Password
field-old-password = Present password
field-new-password = New password
field-locale = Language
hint-login = 3 to 32 of a–z, 0–9, - _ . beginning with a letter; it cannot be changed later.
hint-name = Shown in teams and on leaderboards.
hint-email = Only administrators and organizers see it.
hint-organisation = Its full name; an administrator verifies it.
hint-password = At least 10 characters, no symbols needed; a few unrelated words are easy to remember.
hint-token-name = What it is for, such as “lab server”.

login-no-account = No account yet?
login-forgotten = If you forgot your password, ask an administrator for a one-time reset link.
register-lead = One account takes part in all competitions and courses.
register-have-account = Have an account?
register-closed = People cannot register themselves here. Ask an administrator for an account.
reset-title = Set a new password
reset-lead = For { $login }. Sessions on all devices end, and all API tokens are revoked.
faults-title = { $count ->
    [one] One thing needs changing
   *[other] { $count } things need changing
}

password-title = Change the password
password-lead = Sessions on your other devices end, and your API tokens are revoked.
password-change = Change the password
sessions-title = Where you are logged in
sessions-lead = If you do not know one of these, end it and change your password.
session-agent = Browser
session-address = Address
session-opened = Logged in
session-seen = Last used
session-this = This session
session-end = End
sessions-end-others = End all other sessions

tokens-lead = Programs and the command line use tokens. A token is worth a password: keep it out of code, share it with nobody.
token = Token
token-name = Name
token-scope = Scope
token-days = Days until it ends (1 to 365)
token-expires = Ends
token-expired = Ended
token-used = Last used
token-new = New token
token-make = Make a token
token-made = The token was made
token-once = It is shown this once. Save it now.
token-revoke = Revoke
token-revoke-question = Revoke the token “{ $name }”? Programs that use it stop working at once.
tokens-none = No tokens yet
tokens-none-text = Make one below to submit from the command line or a program.
scope-read = Read
scope-submit = Read and submit
scope-organize = Organize (with read and submit)
scope-admin = Administer (everything)

role = Role
roles = Roles
roles-hint = These roles hold in the whole installation; roles in one competition are given on its pages.
role-in-competition = (in one competition)
role-administrator = Administrator
    .what = Manages users, organisations and the service; neither judges nor approves releases.
role-organizer = Organizer
    .what = Makes and runs competitions.
role-steward = Data steward
    .what = Catalogues data, desensitizes it, approves its use.
role-checker = Output checker
    .what = Decides requests to release results.
role-judge = Judge
    .what = Marks entries blind, by rubric.

user-active = Active
user-disabled = Disabled
user-locked = Locked for now
user-seen = Last seen
user-created = Registered
user-disable = Disable the account
user-enable = Enable the account
user-disable-question = Disable { $login }? Sessions and tokens end at once; data stays, and it can be undone.
users-count = { $count ->
    [one] One user
   *[other] { $count } users
}
users-none = No user fits
users-none-text = Widen the filter.
reset-make = Make a password reset link
reset-made = The reset link was made
reset-once = Hand it over in person or by a channel you trust. It works once, for 24 hours, and is shown this once.
reset-link = Reset link

organisations-lead = People name their organisation themselves; it counts once verified.
organisation-name = Organisation
organisation-members = People
organisation-since = First named
organisation-verified = Verified
organisation-unverified = To verify
organisation-verify = Verify
organisation-unverify = Take back
organisations-none = No organisations yet
organisations-none-text = They appear here when people name theirs.
status-part = Part
status-ok-database = It answers
status-ok-docker = The engine answers and has the images
status-part-database = Database
status-part-disk = Disk space
status-part-docker = Container engine
status-line = What it says
status-well = Well
status-ill = Ill

flash-logged-out = You are logged out.
flash-registered = Welcome. Your account was made.
flash-saved = Saved.
flash-password-set = The new password is set. Log in with it.
flash-password-changed = The password was changed; your other sessions have ended and your API tokens are revoked.
flash-session-ended = The session has ended.
flash-sessions-ended = All other sessions have ended.
flash-token-revoked = The token was revoked.
flash-user-disabled = { $login } was disabled.
flash-user-enabled = { $login } was enabled.

# One field of a form
fault-required = Fill this in.
fault-too-long = At most 60 characters.
fault-control-characters = It holds invisible characters; type it again.
fault-login-length = A login has 3 to 32 characters.
fault-login-letters = A login begins with a–z and holds only a–z, 0–9, - _ .
fault-login-taken = Somebody has this login; choose another.
fault-email-form = An address looks like name@example.org.
fault-password-short = A password has at least 10 characters.
fault-password-long = A password has at most 1024 bytes.
fault-password-is-login = The password must differ from login and address.
fault-password-one-letter = The password must not be one character repeated.
fault-password-wrong = This is not your present password.
fault-token-days = Between 1 and 365 days.
fault-token-scope = Choose a scope.

audit-lead = Every decision and every use is recorded here. Entries are only ever added; the service numbers them without gaps, and a change would show.
audit-number = Number
audit-at = Time
audit-actor = Who
audit-action = What
audit-object = About
audit-detail = Detail
audit-waiting = not numbered yet
audit-actor-operator = command line
audit-actor-system = the service
audit-actor-worker = worker
audit-by-token = by token
audit-action-hint = An action or its beginning, such as user. or role.granted
audit-user-hint = A login
audit-count = { $count ->
    [one] One entry
   *[other] { $count } entries
}
audit-none = No entry fits
audit-none-text = Widen the filter.
user-organisation-hint = Who names a verified organisation joins it only here. Empty: none.
