# What the reader finds in a bundle: finding-CODE says what is wrong, .mend how to mend it. The finding itself
# names the value, in English.

# the file itself
finding-yaml-missing = 没有 competition.yaml
    .mend = 请将 competition.yaml 放在文件夹或 zip 的最外层，文件名须完全一致。
finding-yaml-too-large = competition.yaml 过大
    .mend = 数据请另存为文件，在这里只写文件名。
finding-yaml-not-utf8 = competition.yaml 不是 UTF-8 编码
    .mend = 请将文件另存为 UTF-8 编码。
finding-yaml-broken = YAML 写法有误，无法读取
    .mend = 请改正所示的行：缩进用空格；内容含“: ”或“#”时加引号。
finding-version-1 = 这是 CodaLab 的旧格式（1.5 版），暂不支持
    .mend = 请按 Codabench 第 2 版格式编写，并写 version: 2。
finding-version-unknown = 不认识这个版本号
    .mend = 请写 version: 2。
finding-more-findings = 问题较多，其余的没有列出
    .mend = 请先改正以上各项。

# keys and values
finding-duplicate-key = 同一个键写了两次，以最后一次为准
    .mend = 请只保留一处。
finding-unknown-key = 不认识这个键，已忽略
    .mend = 请检查拼写；不需要时请删除。
finding-foreign-key = 这个键属于其他平台或 CodaLab 旧格式，已忽略
    .mend = 请删除。
finding-missing-key = 缺少必填的键
    .mend = 请补上。
finding-wrong-kind = 值的类型不对
    .mend = 请按英文详情所示的类型填写。
finding-value-unknown = 值不在可选范围内
    .mend = 请改为下面英文列出的写法之一，区分大小写。
finding-value-out-of-range = 数值超出允许范围
    .mend = 请按英文详情所示填写。
finding-size-unreadable = 大小无法识别
    .mend = 请写成 2GiB 或 256MiB 这样的形式。
finding-span-unreadable = 时长无法识别
    .mend = 请写成 30m 或 8h 这样的形式。
finding-uuid-reference = 引用的是其他服务器上的内容，这里取不到
    .mend = 请在原服务器连同文件一起导出，或将文件直接放入竞赛包。

# files
finding-file-missing = 竞赛包里没有这个文件，或者它是文件夹
    .mend = 请补上文件，或改正路径（区分大小写）；需要文件时不能写文件夹。
finding-path-unsafe = 路径不可用
    .mend = 请写竞赛包内的相对路径，不能含 ..、反斜杠或网址。
finding-path-link = 路径是链接或特殊文件，或经过它们
    .mend = 请将文件本身复制到竞赛包内。
finding-not-a-file = 含有链接或特殊文件，已忽略
    .mend = 请换成文件本身。
finding-not-a-zip = 既不是文件夹，也不是 zip
    .mend = 请将文件放入文件夹，并填写文件夹名。
finding-image-kind = 图片的扩展名不对
    .mend = 请使用 PNG、JPEG、GIF、WebP 或 SVG 文件。
finding-page-unreadable = 页面不是 UTF-8 文本，或者过长
    .mend = 请另存为 UTF-8 编码的 Markdown；过长时请删减。
finding-page-empty = 页面是空的
    .mend = 请写入内容。
finding-page-html = 页面为 HTML：脚本、样式、框架和表单会被去掉
    .mend = 请在导入后查看效果，或改用 Markdown。
finding-image-unmapped = 镜像没有对应的本地镜像，程序无法运行
    .mend = 请管理员在 SHUYU_IMAGES 中配置对应关系，或改用已有的镜像。

# zips
finding-zip-top-folder = zip 内所有文件都在一个文件夹里
    .mend = 请进入该文件夹再打包，否则 Codabench 不接收。
finding-zip-case = 有文件名只是大小写不同
    .mend = 请改名：在很多系统上它们是同一个文件。
finding-zip-unreadable = 不是可读取的 zip 压缩包
    .mend = 请重新打包为普通 zip，并完整上传。
finding-zip-unsafe-name = 压缩包内有不安全的文件名
    .mend = 请进入文件夹再打包，使用普通文件名，编码为 UTF-8。
finding-zip-not-regular = 压缩包内有链接或特殊文件
    .mend = 请换成文件本身。
finding-zip-encrypted = 压缩包加了密码
    .mend = 请去掉密码重新打包。
finding-zip-method = 压缩方式不支持
    .mend = 请用通常的方式（deflate）打包。
finding-zip-duplicate = 压缩包内有重复的文件
    .mend = 请重新打包，每个文件只放一次。
finding-zip-overlap = 压缩包已损坏：内容重叠
    .mend = 请重新打包，并用 unzip -t 检查。
finding-zip-too-many-entries = 压缩包内文件过多
    .mend = 请去掉缓存和依赖，或合并小文件。
finding-zip-too-deep = 压缩包内文件夹层数过多
    .mend = 请减少层数。
finding-zip-path-too-long = 压缩包内路径过长
    .mend = 请减少层数，缩短名称。
finding-zip-file-too-large = 压缩包内有文件过大
    .mend = 请去掉不需要的内容，或请管理员提高上限。
finding-zip-too-large = 压缩包解压后过大
    .mend = 请去掉不需要的内容，或请管理员提高上限。
finding-zip-bomb = 压缩包的压缩比过高
    .mend = 请去掉不需要的内容，或请管理员提高上限。
finding-zip-corrupt = 压缩包内有文件已损坏
    .mend = 请重新打包，并用 unzip -t 检查。
finding-zip-io = 服务器解压失败
    .mend = 请重试；仍失败时请联系管理员。

# fact sheet, solutions and translations
finding-fact-key = 问题的 key 与其名称不一致
    .mend = 请将 key 写成与名称相同。
finding-fact-selection = 选择题没有选项
    .mend = 请在 selection 中列出选项。
finding-solution-index-duplicate = 两个方案的 index 相同
    .mend = 请给每个方案不同的 index。
finding-locale-tag = 语言代码有误
    .mend = 请写 zh 或 en。
finding-locale-page-unknown = 没有页面使用这个文件名或标题
    .mend = 请写页面文件名（不含扩展名）或页面标题。

# tasks
finding-task-unnamed = 任务没有名称
    .mend = 请补上 name。
finding-task-index-duplicate = 两个任务的 index 相同
    .mend = 请给每个任务不同的 index，并在 phases 中引用。
finding-task-unknown = 没有这个 index 的任务
    .mend = 请写已有任务的 index。
finding-task-unused = 任务没有用于任何阶段
    .mend = 请将其列入某个阶段，或删除。
finding-task-shared = 多个阶段使用同一任务
    .mend = 若最后阶段决定名次，请为其单设任务，使用另外的不公开数据。
finding-scoring-missing = 任务既没有评分程序，也没有内置指标
    .mend = 请补上 scoring_program，或在 shuyu.tasks 中声明指标。
finding-scoring-twice = 同时有内置指标和评分程序，只按内置指标评分
    .mend = 请删除其中一个。
finding-reference-missing = 使用内置指标但没有参考数据
    .mend = 请补上 reference_data。
finding-program-without-command = 程序没有可用的运行命令
    .mend = 请在程序最外层放 metadata.yaml，写明 command，如 command: python3 $program/score.py $input $output。
finding-command-unreadable = 运行命令无法识别
    .mend = 请检查 command 中的引号是否成对。
finding-shared-not-allowed = 读入程序与评分程序同时运行，须共享可写目录；未经您允许，提交将不被受理
    .mend = 若允许参赛者读到评分程序写入其中的内容，请将该任务的 shared 设为 true；否则请改为先读入、后评分。
finding-resources-small = 资源限额过小，程序无法启动
    .mend = 请按英文详情所示的最小值填写。

# what is hidden
finding-input-not-hidden = 输入声明为不公开，实际上可以下载
    .mend = 请改为公开，或不要放在可下载的内容中。
finding-hidden-without-twin = 输入不公开且没有样例数据，程序失败时参赛者无从查找原因
    .mend = 请用 twin 提供格式相同的公开或模拟数据，或将输入设为公开。
finding-twin-not-separate = 样例数据含有不公开的数据，而样例数据的一切都对参赛者可见
    .mend = 请为 twin 准备单独的公开或模拟数据。
finding-reference-exposed = 参考数据也出现在参赛者或其程序能读到的地方，答案可能泄露
    .mend = 除非有意公开答案，请从那里移除。
finding-hidden-set-split = 几个任务的参考数据相同，告知的信息量却分开计算
    .mend = 请在 shuyu.tasks 中给它们相同的 hidden_set。

# metrics
finding-metric-invalid = 内置指标的写法有误
    .mend = 请按英文详情所示修改。
finding-metric-column-unknown = 指标写入的列在排行榜中不存在
    .mend = 请将 column 写成排行榜中某列的 key。
finding-metric-column-computed = 指标写入的列由其他列计算得出
    .mend = 请改用没有 computation 的列。
finding-column-unfilled = 没有指标写入这一列
    .mend = 请补上指标，或删除该列。

# phases
finding-phase-without-task = 阶段没有任务
    .mend = 请至少列出一个任务的 index。
finding-phase-task-twice = 阶段重复列出同一任务
    .mend = 请只列一次。
finding-phase-without-index = 阶段没有 index，按 0 处理
    .mend = 请从 0 起给各阶段编号。
finding-phase-index-duplicate = 两个阶段的 index 相同，按文件中的先后排列
    .mend = 请从 0 起给各阶段编号。
finding-phase-solutions = 阶段内的 solutions 不起作用
    .mend = 请将方案列在最外层的 solutions 中。
finding-date-unreadable = 日期无法识别或不存在
    .mend = 请写 2026-12-31 或 "2026-12-31 23:59:59"（UTC）。
finding-date-day-first = 日期把日写在了前面
    .mend = 请核对下面英文中的理解，并改为年份在前，如 2026-12-31。
finding-date-offset = 日期带有时区；Codabench 会忽略时区
    .mend = 请改写为 UTC 时间。
finding-phase-ends-before-start = 阶段的结束早于开始，永远不会开放
    .mend = 请改正其中一个日期。
finding-phase-empty = 阶段的开始与结束是同一时刻：只写日期表示当天 0 点
    .mend = 请将 end 写为次日，或写明时刻。
finding-phase-without-end = 阶段没有结束时间，但后面还有阶段
    .mend = 请补上 end。
finding-phase-overlap = 阶段之间有重叠
    .mend = 每个阶段须在上一阶段结束之后开始。
finding-auto-migrate-first = 第一阶段没有上一阶段可以转入，此项不起作用
    .mend = 请设在后面的阶段。

# leaderboard
finding-leaderboard-unused = 只使用第一个排行榜，各阶段通用
    .mend = 请删除这一个。
finding-leaderboard-index = 排行榜的 index 不起作用
    .mend = 请删除。
finding-primary-unknown = 找不到主排序列
    .mend = 请将 primary_index 写成某列的 index。
finding-primary-hidden = 主排序列不公开，或由不公开的列计算得出，不能用于公开排名，将按下一个可见列排名
    .mend = 请将 primary_index 写成可见列，或隐藏整个排行榜。
finding-key-too-long = key 过长
    .mend = 请换一个较短的 key。
finding-title-long = 列标题过长，Codabench 不接收
    .mend = 请缩短。
finding-column-index-duplicate = 两列的 index 相同
    .mend = 请给每列不同的 index。
finding-column-key-duplicate = 两列的 key 相同
    .mend = 请给每列不同的 key。
finding-column-without-sorting = 列没有 sorting，按越大越好（desc）处理
    .mend = 请写 sorting: desc 或 sorting: asc。
finding-sorting-direction = 列的排序方向可能反了
    .mend = 越大越好写 sorting: desc，越小越好写 sorting: asc。
finding-precision = 小数位数过多，按 10 位处理
    .mend = 请写 10 或更小的数。
finding-computation-null = 值为 null，不起作用
    .mend = 请删除。
finding-computation-missing = 有 computation_indexes 而没有 computation，不起作用
    .mend = 请补上 computation，或删除 computation_indexes。
finding-computation-unknown = 引用的列不存在
    .mend = 请写已有列的 index。
finding-computation-empty = 没有可供计算的列
    .mend = 请在 computation_indexes 中列出参与计算的列。
finding-computation-without-indexes = 没有 computation_indexes，按全部非计算列处理
    .mend = 请列出参与计算的列。
finding-computation-cycle = 列的计算成了循环，最终引用自身
    .mend = 请去掉其中一个 index。
