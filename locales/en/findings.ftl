# What the reader finds in a bundle: finding-CODE says what is wrong, .mend how to mend it. The finding itself
# names the value, in English.

# the file itself
finding-yaml-missing = There is no competition.yaml
    .mend = Put competition.yaml at the root of the folder or zip, under exactly this name.
finding-yaml-too-large = competition.yaml is too large
    .mend = Keep data out of it: name files instead.
finding-yaml-not-utf8 = The text is not UTF-8
    .mend = Save the file as UTF-8.
finding-yaml-broken = Not valid YAML
    .mend = Correct the line shown; indent with spaces and quote text that holds ": " or "#".
finding-version-1 = A bundle in CodaLab's old format (v1.5), which is not read yet
    .mend = Write it in Codabench's format v2 and set version: 2.
finding-version-unknown = This version is not known
    .mend = Write version: 2.
finding-more-findings = More findings are not listed
    .mend = Mend the ones above first.

# keys and values
finding-duplicate-key = A key stands here twice; the last one counts
    .mend = Keep one of them.
finding-unknown-key = This key is not known here and ignored
    .mend = Check its spelling, or remove it.
finding-foreign-key = This key belongs to another server or to CodaLab v1.5 and is ignored
    .mend = Remove it.
finding-missing-key = A required key is missing
    .mend = Add it.
finding-wrong-kind = The value is of the wrong kind
    .mend = Write the kind of value that is wanted.
finding-value-unknown = The value is none of those known here
    .mend = Write one of those listed, in the same case.
finding-value-out-of-range = The number is out of range
    .mend = Write a number of the range that is named.
finding-size-unreadable = This is not a size
    .mend = Write 2GiB or 256MiB.
finding-span-unreadable = This is not a span of time
    .mend = Write 30m or 8h.
finding-uuid-reference = Refers to an object on another server, which cannot be had from here
    .mend = Export the competition there with its files, or put the files themselves into the bundle.

# files
finding-file-missing = The bundle has no such file, or it is a folder
    .mend = Add the file, or correct the path; where a file is needed, name a file.
finding-path-unsafe = The path cannot be used
    .mend = Write a path below the bundle's root.
finding-path-link = The path is or goes through a link or a special file
    .mend = Put a copy of the file itself into the bundle.
finding-not-a-file = A link or a special file, which is not part of the bundle
    .mend = Replace it by a copy of what it stands for.
finding-not-a-zip = Neither a folder nor a zip
    .mend = Put the file into a folder and name the folder.
finding-image-kind = The file has no ending of a picture
    .mend = Use a PNG, JPEG, GIF, WebP or SVG file.
finding-page-unreadable = The page is not text in UTF-8, or too long to be shown
    .mend = Save it as UTF-8 Markdown, or shorten it.
finding-page-empty = The page is empty
    .mend = Write something into it.
finding-page-html = HTML is cleaned before it is shown: scripts, styles, frames and forms go
    .mend = Look at the pages after the import, or write them in Markdown.
finding-image-unmapped = The image is not mapped to a local one, so nothing can run
    .mend = Have the operator map it in SHUYU_IMAGES, or name another image.

# zips
finding-zip-top-folder = Everything stands in one folder inside the zip
    .mend = Zip the files from inside that folder; Codabench refuses the bundle otherwise.
finding-zip-case = A file differs from another in case only
    .mend = Rename one: on many systems they are the same file.
finding-zip-unreadable = This is not a zip archive that can be read
    .mend = Make the archive anew as a plain .zip and upload it completely.
finding-zip-unsafe-name = An entry of the zip has an unsafe name
    .mend = Zip the files from inside their own folder, with plain names saved as UTF-8.
finding-zip-not-regular = The zip holds a link or a special file
    .mend = Replace links and special files by copies of the files they stand for.
finding-zip-encrypted = The zip is encrypted
    .mend = Make the archive without a password.
finding-zip-method = The zip is packed with a method that is not read here
    .mend = Pack with the usual method (deflate).
finding-zip-duplicate = An entry stands in the zip more than once
    .mend = Make the archive anew with each file once.
finding-zip-overlap = Entries of the zip overlap
    .mend = Make the archive anew and check it with unzip -t.
finding-zip-too-many-entries = The zip holds too many files
    .mend = Leave out caches and dependencies, or put small files together.
finding-zip-too-deep = The zip's folders are nested too deeply
    .mend = Use fewer nested folders.
finding-zip-path-too-long = A path in the zip is too long
    .mend = Use fewer nested folders and shorter names.
finding-zip-file-too-large = A file of the zip is too large
    .mend = Leave out what is not needed, or ask for a larger limit.
finding-zip-too-large = The zip holds too much when unpacked
    .mend = Leave out what is not needed, or ask for a larger limit.
finding-zip-bomb = The zip grows out of proportion
    .mend = Leave out what is not needed, or ask for a larger limit.
finding-zip-corrupt = An entry of the zip is damaged
    .mend = Make the archive anew and check it with unzip -t.
finding-zip-io = Unpacking failed on the server
    .mend = Try again; if it stays, the operator must look at disk space and permissions.

# fact sheet, solutions and translations
finding-fact-key = The question's key differs from the name it stands under
    .mend = Write the name as its key.
finding-fact-selection = A select without choices cannot be answered
    .mend = List the choices.
finding-solution-index-duplicate = Two solutions have the same index
    .mend = Give each its own index.
finding-locale-tag = This is not a language tag
    .mend = Write zh or en.
finding-locale-page-unknown = No page has this file name or title
    .mend = Name the page's file without its ending, or its title.

# tasks
finding-task-unnamed = The task has no name
    .mend = Add name.
finding-task-index-duplicate = Two tasks have the same index
    .mend = Give each task its own index, and name it in phases.
finding-task-unknown = There is no task with this index
    .mend = Name the index of a task.
finding-task-unused = The task is in no phase
    .mend = List it in a phase, or remove it.
finding-task-shared = Several phases use the same task
    .mend = Give the last phase its own task with other hidden data, if it decides.
finding-scoring-missing = The task has neither a scoring program nor a metric
    .mend = Add scoring_program, or a native metric in shuyu.tasks.
finding-scoring-twice = The native metric scores; the scoring program is not run
    .mend = Remove one of them.
finding-reference-missing = A native metric compares with reference data, and there is none
    .mend = Add reference_data.
finding-program-without-command = The program has no command that can be run
    .mend = Put a metadata.yaml at its root with a line such as command: python3 $program/score.py $input $output.
finding-command-unreadable = The command cannot be read
    .mend = Correct the quotation marks.
finding-shared-not-allowed = Ingestion runs while scoring and shares a writable directory with the scorer; without your opt-in submissions are rejected
    .mend = Set the task's shared to true if participants may learn what the scorer writes there, or let ingestion run before scoring.
finding-resources-small = With so little no program can start
    .mend = Write at least what is named.

# what is hidden
finding-input-not-hidden = The input is declared hidden, but can be downloaded
    .mend = Declare it public, or keep it out of what can be downloaded.
finding-hidden-without-twin = The input is hidden and there is no twin: a participant whose program fails learns nothing about why
    .mend = Add a twin with public or made-up data of the same layout, or declare the input public.
finding-twin-not-separate = The twin holds hidden data, and everything about the twin is shown to participants
    .mend = Give the twin public or made-up data of its own.
finding-reference-exposed = Reference data is also where participants or their programs can read it
    .mend = Take it out there, unless the answers are meant to be open.
finding-hidden-set-split = Tasks with the same reference data count what was learnt about it apart
    .mend = Give them the same hidden_set in shuyu.tasks.

# metrics
finding-metric-invalid = The metric cannot be used
    .mend = Correct it; the organizer's guide lists the metrics.
finding-metric-column-unknown = No leaderboard column has the key that the metric names
    .mend = Name the key of a column in column.
finding-metric-column-computed = The metric's column is computed from others
    .mend = Name a column without computation.
finding-column-unfilled = No metric of the task writes this column
    .mend = Add a metric, or remove the column.

# phases
finding-phase-without-task = A phase needs a task
    .mend = List the index of at least one task.
finding-phase-task-twice = The phase lists a task twice
    .mend = List it once.
finding-phase-without-index = The phase has no index; it is taken as 0
    .mend = Number the phases from 0.
finding-phase-index-duplicate = Two phases have the same index; they keep the file's order
    .mend = Number the phases from 0.
finding-phase-solutions = solutions inside a phase is ignored
    .mend = List solutions at the top level.
finding-date-unreadable = This is not a date that exists
    .mend = Write 2026-12-31 or "2026-12-31 23:59:59" (UTC).
finding-date-day-first = The date has the day first
    .mend = Write the year first: 2026-12-31.
finding-date-offset = The date has an offset, which Codabench ignores
    .mend = Write the time in UTC.
finding-phase-ends-before-start = The phase ends before it starts: it is never open
    .mend = Correct one of the dates.
finding-phase-empty = The phase ends when it starts: a date means midnight
    .mend = Write the day after as end, or a time.
finding-phase-without-end = The phase has no end, but another follows it
    .mend = Add end.
finding-phase-overlap = The phases overlap
    .mend = Let each phase start later than the one before ends.
finding-auto-migrate-first = Nothing can migrate to the first phase; the switch is ignored
    .mend = Set it on a later phase.

# leaderboard
finding-leaderboard-unused = Only the first leaderboard is used, for all phases
    .mend = Remove this one.
finding-leaderboard-index = index on a leaderboard has no meaning and is ignored
    .mend = Remove it.
finding-primary-unknown = There is no such primary column
    .mend = Name the index of a column as primary_index.
finding-primary-hidden = The primary column is hidden, or computed from a hidden one: the next visible column orders the board
    .mend = Name a visible column as primary_index, or hide the whole leaderboard.
finding-key-too-long = The key is too long
    .mend = Choose a shorter one.
finding-title-long = The title is longer than Codabench takes
    .mend = Shorten it.
finding-column-index-duplicate = Two columns have the same index
    .mend = Give each column its own index.
finding-column-key-duplicate = Two columns have the same key
    .mend = Give each column its own key.
finding-column-without-sorting = The column has no sorting; larger counts as better (desc)
    .mend = Write sorting: desc or asc.
finding-sorting-direction = The column seems to be sorted the wrong way round
    .mend = Write sorting: desc if larger is better, sorting: asc if smaller is.
finding-precision = More decimals than a score has; 10 are taken
    .mend = Write at most 10.
finding-computation-null = null says nothing here
    .mend = Remove it.
finding-computation-missing = computation_indexes without computation says nothing
    .mend = Add computation, or remove the indexes.
finding-computation-unknown = There is no column with this index
    .mend = Name indexes of columns.
finding-computation-empty = The column is computed from nothing
    .mend = Name the columns in computation_indexes.
finding-computation-without-indexes = computation_indexes is missing; all columns that are not computed are taken
    .mend = Name the columns.
finding-computation-cycle = The column is computed from itself
    .mend = Take one of these indexes out.
